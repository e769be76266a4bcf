# SPDX-License-Identifier: MIT
"""What travels between an engine and its worker: commands one way, events the other, as JSON."""

import dataclasses
import enum
import json
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigpanel.engine.messages import (
    ChatRequest,
    LoadedModel,
    PrefillProgressed,
    ReplyFinished,
    TextGenerated,
)
from rigpanel.fit.load_settings import LoadSettings


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model in place of the one there is."""

    job: int
    settings: LoadSettings


@dataclass(frozen=True, slots=True)
class Chat:
    """Generate one reply."""

    job: int
    request: ChatRequest


@dataclass(frozen=True, slots=True)
class Unload:
    """Free the model."""

    job: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop `job` and every earlier one as soon as it can be stopped."""

    job: int


@dataclass(frozen=True, slots=True)
class Quit:
    """End the worker."""


Command = Load | Chat | Unload | Cancel | Quit


@dataclass(frozen=True, slots=True)
class LoadProgressed:
    """How much of the model has been loaded, 0 to 1."""

    fraction: float


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """The load is done."""

    model: LoadedModel


@dataclass(frozen=True, slots=True)
class Unloaded:
    """Nothing is loaded any more."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job under way ended without what it was for."""

    sentence: str
    cancelled: bool = False


Event = (
    LoadProgressed
    | ModelLoaded
    | Unloaded
    | Failed
    | PrefillProgressed
    | TextGenerated
    | ReplyFinished
)

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (*typing.get_args(Command), *typing.get_args(Event))
}


def encode(message: Command | Event) -> bytes:
    """Return a message as one line of JSON."""
    line = {"kind": type(message).__name__, **_plain(message)}
    return json.dumps(line, ensure_ascii=True).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Return the message in one line; raises ValueError for a line that is none."""
    fields = json.loads(line)
    try:
        return _build(_KINDS[fields.pop("kind")], fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message of the engine: {line[:80]!r}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _build(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _build(next(k for k in typing.get_args(kind) if k is not type(None)), value)
    if origin is tuple:
        return tuple(_build(typing.get_args(kind)[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return typing.cast("Any", kind)(
            **{name: _build(hints[name], item) for name, item in value.items()}
        )
    if isinstance(kind, type) and issubclass(kind, (enum.Enum, Path)):
        return kind(value)
    return float(value) if kind is float else value
