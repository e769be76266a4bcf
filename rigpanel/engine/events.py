# SPDX-License-Identifier: MIT
"""What travels between an engine and its worker: commands one way, events the other, as JSON."""

import json
import typing
from dataclasses import dataclass
from typing import Any

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.devices import Device
from rigpanel.engine.messages import (
    ChatRequest,
    ContextNearlyFull,
    LoadedModel,
    PrefillProgressed,
    ReplyFinished,
    TextGenerated,
    TurnsDropped,
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


@dataclass(frozen=True, slots=True)
class ListDevices:
    """List llama.cpp's devices, those of these RPC servers among them."""

    job: int
    rpc_servers: tuple[str, ...]


Command = Load | Chat | Unload | ListDevices | Cancel | Quit


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


@dataclass(frozen=True, slots=True)
class DevicesListed:
    """The devices there are; `problem` says why there are none."""

    devices: tuple[Device, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Alive:
    """Sent each second while a job is under way: how long ago llama.cpp last showed a sign."""

    idle_s: float


Event = (
    LoadProgressed
    | ModelLoaded
    | Unloaded
    | Failed
    | DevicesListed
    | Alive
    | TurnsDropped
    | PrefillProgressed
    | ContextNearlyFull
    | TextGenerated
    | ReplyFinished
)

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (*typing.get_args(Command), *typing.get_args(Event))
}


def encode(message: Command | Event) -> bytes:
    """Return a message as one line of JSON."""
    line = {"kind": type(message).__name__, **to_plain(message)}
    return json.dumps(line, ensure_ascii=True).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Return the message in one line; raises ValueError for a line that is none."""
    fields = json.loads(line)
    try:
        kind = _KINDS[fields.pop("kind")]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message of the engine: {line[:80]!r}") from error
    return from_plain(kind, fields)
