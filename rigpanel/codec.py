# SPDX-License-Identifier: MIT
"""Frozen dataclasses as plain JSON values and back: for the engine's pipe and for what is kept."""

import dataclasses
import enum
import functools
import types
import typing
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return a dataclass (with tuples, enums, paths and dataclasses in it) as JSON can hold it."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[T], value: Any) -> T:
    """Return the `kind` that `to_plain` made `value` of; raises ValueError where it is not one.

    What another version wrote can be read: a field that is missing takes its default, one that is
    not known is passed over. A value of the wrong type is never taken.
    """
    try:
        return cast("T", _build(kind, value))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"not a {kind.__name__}: {str(value)[:80]}") from error


def _build(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _build_one_of(typing.get_args(kind), value)
    if origin is tuple:
        return tuple(_build(typing.get_args(kind)[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        hints = _hints(cast("type", kind))
        known = {name: _build(hints[name], item) for name, item in value.items() if name in hints}
        return cast("Any", kind)(**known)
    if isinstance(kind, type) and issubclass(kind, (enum.Enum, Path)):
        return kind(value)
    if kind in (bool, int, str) and type(value) is not kind:
        raise TypeError(f"not {kind.__name__}")
    if kind is float:
        if type(value) not in (float, int):
            raise TypeError("not a number")
        return float(value)
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Work a dataclass's types out once: that takes longer than building it."""
    return typing.get_type_hints(kind)


def _build_one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    """Build the first kind that takes the value: `X | None`, or a number `| Missing`."""
    if value is None and type(None) in kinds:
        return None
    problem: Exception = TypeError("no kind takes it")
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _build(kind, value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = error
    raise problem
