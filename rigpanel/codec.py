# SPDX-License-Identifier: MIT
"""Frozen dataclasses as plain JSON values and back: for the engine's pipe and for what is kept."""

import dataclasses
import enum
import functools
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

T = TypeVar("T")
Reader: TypeAlias = Callable[[Any], Any]

_NOT_FINITE = ("inf", "-inf", "nan")


def to_plain(value: Any) -> Any:
    """Return a dataclass (with tuples, enums, paths and dataclasses in it) as JSON can hold it.

    JSON has no infinity (a logit bias may be one): such numbers become words.
    """
    if dataclasses.is_dataclass(value):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[T], value: Any) -> T:
    """Return the `kind` that `to_plain` made `value` of; raises ValueError where it is not one.

    What another version wrote can be read: a field that is missing takes its default, one that is
    not known is passed over. A value of the wrong type is never taken.
    """
    try:
        return cast("T", _reader(cast("Any", kind))(value))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a {kind.__name__}: {str(value)[:80]}") from error


@functools.cache
def _reader(kind: Any) -> Reader:
    """Return what builds a `kind`; worked out once, since that takes longer than the building."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _reader_of_one(typing.get_args(kind))
    if origin is tuple:
        item = _reader(typing.get_args(kind)[0])
        return lambda value: tuple(map(item, value))
    if dataclasses.is_dataclass(kind):
        fields = {name: _reader(hint) for name, hint in typing.get_type_hints(kind).items()}
        return lambda value: cast("Any", kind)(
            **{name: fields[name](item) for name, item in value.items() if name in fields}
        )
    if isinstance(kind, type) and issubclass(kind, (enum.Enum, Path)):
        return kind
    return _reader_of_plain(kind)


def _reader_of_one(kinds: tuple[Any, ...]) -> Reader:
    """Return what builds the first kind that takes a value: `X | None`, or a number `| Missing`."""
    readers = [_reader(kind) for kind in kinds if kind is not type(None)]

    def read(value: Any) -> Any:
        if value is None and len(readers) < len(kinds):
            return None
        problem: Exception = TypeError("no kind takes it")
        for reader in readers:
            try:
                return reader(value)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                problem = error
        raise problem

    return read


def _reader_of_plain(kind: Any) -> Reader:
    taken = {float: (int, float), int: (int,), bool: (bool,), str: (str,)}.get(kind)

    def read(value: Any) -> Any:
        if taken is not None and type(value) not in taken:
            if kind is float and value in _NOT_FINITE:
                return float(value)
            raise TypeError(f"{value!r} is not of {kind}")
        return float(value) if kind is float else value

    return read
