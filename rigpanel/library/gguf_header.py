# SPDX-License-Identifier: MIT
"""What a GGUF file says of itself, read without its arrays and without trusting a length."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rigpanel.errors import RigpanelError

MIB = 1024 * 1024
WINDOW = MIB // 4
"""Bytes read at a time: most headers without a vocabulary fit into one."""
MAX_KEY = 65_535
MAX_STRING = 16 * MIB
MAX_ENTRIES = 1_000_000
MAX_STRINGS = 8_000_000
"""Strings in one array; vocabularies and their merges stay below a million."""
MAX_DIMS = 4
_WANTED = {"general.architecture", "general.name", "general.file_type", "general.alignment"}
_WANTED |= {"tokenizer.chat_template"}
_WANTED_ENDS = (".block_count", ".context_length")
_TOKENS = "tokenizer.ggml.tokens"
_SCALARS = {
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
_STRING, _ARRAY = 8, 9
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or a PyTorch checkpoint"),
    (b"\x80\x02", "a Python pickle"),
    (b"lmgg", "a GGML file, the format before GGUF"),
    (b"tjgg", "a GGJT file, the format before GGUF"),
    (b"<!DO", "a web page (a download that went wrong?)"),
    (b"<htm", "a web page (a download that went wrong?)"),
    (b"vers", "a Git LFS pointer (the file itself was not fetched)"),
    (b"FUGG", "a big-endian GGUF"),
)
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
"""`general.file_type`, as enum llama_ftype of llama.h names it."""
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
    22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Elements and bytes of a block of each tensor type, as enum ggml_type of ggml.h counts them."""


class ModelFileError(RigpanelError):
    """A file that cannot be used as a model; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What is known of a model before a byte of its weights is read."""

    path: Path
    arch: str
    name: str
    file_type: str
    n_params: int
    size_mib: float
    """Size of the file."""
    n_layer: int
    n_ctx_train: int
    chat_template: str | None
    n_vocab: int = 0
    """Tokens in its vocabulary; 0 where it brings none."""


class _Reader:
    """Reads numbers and strings off the front of a file; every length is checked first.

    The file is read and not mapped: one that is cut while it is looked at would end the process.
    """

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.at = 0
        self.size = size
        self._path = path
        self._file = file
        self._window = b""
        self._start = 0

    def truncated(self) -> ModelFileError:
        return ModelFileError(
            f"{self._path} is cut short or damaged: its header runs past its end. "
            "Fetch the file again."
        )

    def _have(self, size: int) -> int:
        """Have the next `size` bytes in the window; returns where in it they begin."""
        if self.at + size > self.size:
            raise self.truncated()
        index = self.at - self._start
        if index + size > len(self._window):
            self._file.seek(self.at)
            self._window = self._file.read(max(size, WINDOW))
            self._start, index = self.at, 0
            if len(self._window) < size:
                raise self.truncated()
        return index

    def scalar(self, code: str) -> Any:
        size = struct.calcsize("<" + code)
        index = self._have(size)  # It may put another window in place.
        value = struct.unpack_from("<" + code, self._window, index)[0]
        self.at += size
        return value

    def skip(self, size: int) -> None:
        if self.at + size > self.size:
            raise self.truncated()
        self.at += size

    def string(self, longest: int = MAX_STRING) -> str:
        size = self.scalar("Q")
        if size > longest:
            raise self.truncated()
        index = self._have(size)
        self.at += size
        return self._window[index : index + size].decode("utf-8", "replace")

    def _skip_strings(self, count: int) -> None:
        if count > MAX_STRINGS:
            raise self.truncated()
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            index = self._have(8)
            self.at += 8 + unpack(self._window, index)[0]

    def skip_array(self, depth: int = 0) -> int:
        """Pass over an array and return how many elements it has."""
        kind, count = self.scalar("I"), self.scalar("Q")
        if kind in _SCALARS:
            self.skip(count * struct.calcsize("<" + _SCALARS[kind]))
        elif kind == _STRING:
            self._skip_strings(count)
        elif kind == _ARRAY and depth < 4 and count <= MAX_ENTRIES:
            for _ in range(count):
                self.skip_array(depth + 1)
        else:
            raise self.truncated()
        return int(count)

    def value(self, *, wanted: bool) -> Any:
        """Return the next value, an array's as its length; one not wanted is passed over."""
        kind = self.scalar("I")
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _ARRAY:
            return self.skip_array()
        if kind != _STRING:
            raise self.truncated()
        if wanted:
            return self.string()
        self.skip(self.scalar("Q"))
        return None


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file; raises ModelFileError for anything that is not one."""
    path = path.expanduser()
    try:
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder; choose a .gguf file in it.")
        if path.exists() and not path.is_file():
            raise ModelFileError(f"{path} is not an ordinary file; choose a .gguf file.")
        size = path.stat().st_size
        if size == 0:
            raise ModelFileError(f"{path} is empty. Fetch the file again.")
        with path.open("rb") as file:
            return _parse(path, file, size)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path} does not exist. Check the name.") from error
    except PermissionError as error:
        raise ModelFileError(f"{path} may not be read by this user. Check its rights.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(path: Path, file: BinaryIO, size: int) -> GgufHeader:
    start = file.read(16)
    if start[:4] != b"GGUF":
        raise _foreign(path, start)
    reader = _Reader(path, file, size)
    reader.skip(4)
    version = reader.scalar("I")
    if version in (0x02000000, 0x03000000):
        raise ModelFileError(f"{path} is a big-endian GGUF, which this machine cannot run.")
    if version not in (2, 3):
        raise ModelFileError(
            f"{path} is GGUF version {version}; versions 2 and 3 can be loaded. Fetch a newer file."
        )
    n_tensors, n_values = reader.scalar("Q"), reader.scalar("Q")
    if n_tensors > MAX_ENTRIES or n_values > MAX_ENTRIES:
        raise reader.truncated()
    values = _read_values(reader, n_values)
    n_params, n_bytes = _read_tensors(reader, n_tensors)
    arch = values.get("general.architecture")
    if not isinstance(arch, str) or not arch:
        raise ModelFileError(f"{path} names no architecture, so it is not a language model.")
    if n_tensors == 0:
        raise ModelFileError(f"{path} holds no weights (a vocabulary only). Choose a model file.")
    needed = _aligned(reader.at, values.get("general.alignment")) + n_bytes
    if needed > size:
        raise ModelFileError(
            f"{path} is cut short: {size / MIB:.1f} MiB of at least {needed / MIB:.1f} MiB are "
            "there. Fetch the file again."
        )
    template = values.get("tokenizer.chat_template")
    file_type = values.get("general.file_type")
    return GgufHeader(
        path=path,
        arch=arch,
        name=str(values.get("general.name") or path.stem),
        file_type=FILE_TYPES.get(file_type, f"type {file_type}")
        if isinstance(file_type, int)
        else "unknown",
        n_params=n_params,
        size_mib=size / MIB,
        n_layer=_whole(values.get(f"{arch}.block_count")),
        n_ctx_train=_whole(values.get(f"{arch}.context_length")),
        chat_template=template if isinstance(template, str) and template else None,
        n_vocab=_whole(values.get(_TOKENS)),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _read_values(reader: _Reader, n_values: int) -> dict[str, Any]:
    values = {}
    for _ in range(n_values):
        key = reader.string(MAX_KEY)
        wanted = key in _WANTED or key.endswith(_WANTED_ENDS)
        value = reader.value(wanted=wanted)
        if wanted or key == _TOKENS:
            values[key] = value
    return values


def _read_tensors(reader: _Reader, n_tensors: int) -> tuple[int, int]:
    """Return how many parameters the tensors have, and where the last of them ends, in bytes."""
    total, end = 0, 0
    for _ in range(n_tensors):
        reader.string(MAX_KEY)
        n_dims = reader.scalar("I")
        if n_dims > MAX_DIMS:
            raise reader.truncated()
        count = math.prod(reader.scalar("Q") for _ in range(n_dims))
        kind, offset = reader.scalar("I"), reader.scalar("Q")
        elements, size = BLOCKS.get(kind, (1, 0))
        total += count
        end = max(end, offset + count // elements * size)
    return total, end


def _aligned(at: int, alignment: object) -> int:
    step = alignment if isinstance(alignment, int) and 0 < alignment <= MIB else 32
    return -(-at // step) * step


def _foreign(path: Path, start: bytes) -> ModelFileError:
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            return ModelFileError(f"{path} is not a GGUF file: it looks like {what}.")
    if start[8:9] == b"{":
        return ModelFileError(
            f"{path} is a safetensors file. Convert it to GGUF with llama.cpp, or fetch a GGUF."
        )
    return ModelFileError(f"{path} is not a GGUF file. Choose a file that llama.cpp can load.")
