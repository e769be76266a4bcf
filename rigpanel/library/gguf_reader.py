# SPDX-License-Identifier: MIT
"""Reads numbers, strings and arrays off the front of a GGUF file, trusting no length in it."""

import functools
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from rigpanel.errors import RigpanelError

MIB = 1024 * 1024
WINDOW = MIB // 4
"""Bytes read at a time: most headers without a vocabulary fit into one."""
MAX_STRING = 16 * MIB
MAX_WALKED = 8_000_000
"""Strings of arrays walked in one file; vocabularies and their merges stay below a million."""
MAX_KEPT = 4096
"""Numbers kept of an array; those of one a layer are at most some hundred long."""
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
STRING, ARRAY = 8, 9
Value: TypeAlias = int | float | bool | str
LEAP_FROM = 2048
"""Strings of an array from which on its end is looked for before it is walked."""
_LONG = 64
"""Bytes a string of such an array has at most on average, else it is walked."""
FARTHEST = 64 * MIB
_KEY = re.compile(rb"tokenizer\.[a-z0-9_.]{1,48}")
"""The key after a vocabulary: it is followed by others of the tokenizer."""
_LENGTH = struct.Struct("<Q").unpack_from
_BLOCK = 512
_LONGEST = 64
_COMMON = (5, 6, 4, 7, 3, 8, 9, 10, 2, 11, 12, 1)
"""Lengths of tokens, the most frequent first: they are tried in this order."""


@functools.cache
def _block_of_strings() -> re.Pattern[bytes]:
    """Return what matches `_BLOCK` short strings, each after its length in eight bytes.

    It walks a vocabulary five times as fast as a loop does.
    """
    rare = (n for n in range(_LONGEST + 1) if n not in _COMMON)
    one = b"|".join(re.escape(bytes([n])) + rb"\0{7}.{%d}" % n for n in (*_COMMON, *rare))
    return re.compile(b"(?s:" + one + b"){%d}+" % _BLOCK)


class ModelFileError(RigpanelError):
    """A file that cannot be used as a model; the text says why and what to do."""


class GgufReader:
    """A window moved over the front of a file; every length is checked before it is followed.

    The file is read and not mapped: one that is cut while it is looked at would end the process.
    """

    def __init__(self, path: Path, file: BinaryIO, size: int, *, leaps: bool) -> None:
        """With `leaps` the end of a long array of strings is guessed; `leapt` is whether it was."""
        self.at = 0
        self.size = size
        self.leapt = False
        self._leaps = leaps
        self._path = path
        self._file = file
        self._window = b""
        self._start = 0
        self._walked = 0

    def damaged(self) -> ModelFileError:
        """Return the error for a header that cannot be what it says."""
        return ModelFileError(
            f"{self._path} is cut short or damaged: its header runs past its end. "
            "Fetch the file again."
        )

    def _have(self, size: int) -> int:
        """Have the next `size` bytes in the window; returns where in it they begin."""
        if self.at + size > self.size:
            raise self.damaged()
        index = self.at - self._start
        if index + size > len(self._window):
            self._file.seek(self.at)
            self._window = self._file.read(max(size, WINDOW))
            self._start, index = self.at, 0
            if len(self._window) < size:
                raise self.damaged()
        return index

    def scalar(self, code: str) -> Any:
        """Read one number of a `struct` code."""
        return self.scalars(code)[0]

    def scalars(self, codes: str) -> tuple[Any, ...]:
        """Read several numbers that stand one after another without a gap."""
        layout = "<" + codes
        size = struct.calcsize(layout)
        index = self._have(size)  # It may put another window in place.
        values = struct.unpack_from(layout, self._window, index)
        self.at += size
        return values

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        if self.at + size > self.size:
            raise self.damaged()
        self.at += size

    def string(self, longest: int = MAX_STRING) -> str:
        """Read a string of at most `longest` bytes."""
        size = self.scalar("Q")
        if size > longest:
            raise self.damaged()
        index = self._have(size)
        self.at += size
        return self._window[index : index + size].decode("utf-8", "replace")

    def _leap(self, count: int) -> bool:
        """Go on at the key that seems to follow `count` strings; False where none does.

        A string may only look like that key, so what is read from there on is to be believed only
        where all of it makes sense, to the end of the file.
        """
        at, end = self.at + 8 * count, min(self.at + _LONG * count, self.at + FARTHEST, self.size)
        while at < end:
            self._file.seek(at)
            piece = self._file.read(MIB)
            for key in _KEY.finditer(piece, 8):
                (length,) = _LENGTH(piece, key.start() - 8)
                if length == len(key[0]):
                    self.at, self.leapt = at + key.start() - 8, True
                    return True
            at += MIB - _LONG  # A key on the border is whole in the next piece.
        return False

    def _skip_strings(self, count: int) -> None:
        self._walked += count
        if self._walked > MAX_WALKED:
            raise self.damaged()
        if self._leaps and count >= LEAP_FROM and self._leap(count):
            return
        while count:
            index = self._have(8)
            window, start = self._window, self._start
            last = len(window) - 8
            while count >= _BLOCK and (block := _block_of_strings().match(window, index)):
                index = block.end()
                count -= _BLOCK
            some = min(count, _BLOCK)
            count -= some
            while some and index <= last:
                index += 8 + _LENGTH(window, index)[0]
                some -= 1
            count += some
            self.at = start + index
            if self.at > self.size:
                raise self.damaged()

    def array(self, *, keep: bool) -> tuple[int, tuple[Value, ...] | None]:
        """Pass over an array; returns its length, and its numbers if they are to be kept."""
        kind, count = self.scalars("IQ")
        if kind in SCALARS:
            code = SCALARS[kind]
            if keep and count <= MAX_KEPT:
                return count, self.scalars(f"{count}{code}")
            self.skip(count * struct.calcsize("<" + code))
        elif kind == STRING:
            self._skip_strings(count)
        else:
            raise self.damaged()  # llama.cpp takes no arrays of arrays either.
        return count, None

    def value(self, *, wanted: bool) -> Value | tuple[Value, ...] | None:
        """Read the next value; a string or array that is not wanted is passed over (None)."""
        kind = self.scalar("I")
        if kind in SCALARS:
            number: Value = self.scalar(SCALARS[kind])
            return number
        if kind == ARRAY:
            return self.array(keep=wanted)[1]
        if kind != STRING:
            raise self.damaged()
        if wanted:
            return self.string()
        self.skip(self.scalar("Q"))
        return None
