# SPDX-License-Identifier: MIT
"""What a GGUF file says of itself, read without its arrays and without trusting a length."""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigpanel.errors import RigpanelError

MIB = 1024 * 1024
MAX_STRING = 64 * MIB
MAX_ENTRIES = 1_000_000
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


class _Reader:
    """Reads numbers and strings off the front of a file; every length is checked first."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._at = 0

    def truncated(self) -> ModelFileError:
        return ModelFileError(
            f"{self._path} is cut short or damaged: its header runs past its end. "
            "Fetch the file again."
        )

    def scalar(self, code: str) -> Any:
        size = struct.calcsize("<" + code)
        if self._at + size > len(self._data):
            raise self.truncated()
        value = struct.unpack_from("<" + code, self._data, self._at)[0]
        self._at += size
        return value

    def skip(self, size: int) -> None:
        if size < 0 or self._at + size > len(self._data):
            raise self.truncated()
        self._at += size

    def string(self) -> str:
        size = self.scalar("Q")
        if size > MAX_STRING or self._at + size > len(self._data):
            raise self.truncated()
        raw = self._data[self._at : self._at + size]
        self._at += size
        return raw.decode("utf-8", "replace")

    def skip_array(self, depth: int = 0) -> None:
        kind, count = self.scalar("I"), self.scalar("Q")
        if kind in _SCALARS:
            self.skip(count * struct.calcsize("<" + _SCALARS[kind]))
        elif kind == _STRING:
            if count > len(self._data) // 8:
                raise self.truncated()
            for _ in range(count):
                self.skip(self.scalar("Q"))
        elif kind == _ARRAY and depth < 4 and count <= MAX_ENTRIES:
            for _ in range(count):
                self.skip_array(depth + 1)
        else:
            raise self.truncated()

    def value(self) -> Any:
        kind = self.scalar("I")
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            self.skip_array()
            return None
        raise self.truncated()


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
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(path, data, size)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path} does not exist. Check the name.") from error
    except PermissionError as error:
        raise ModelFileError(f"{path} may not be read by this user. Check its rights.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(path: Path, data: mmap.mmap, size: int) -> GgufHeader:
    if data[:4] != b"GGUF":
        raise _foreign(path, bytes(data[:16]))
    reader = _Reader(path, data)
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
    values = {}
    for _ in range(n_values):
        key = reader.string()
        values[key] = reader.value()
    n_params = _count_params(reader, n_tensors)
    arch = values.get("general.architecture")
    if not isinstance(arch, str) or not arch:
        raise ModelFileError(f"{path} names no architecture, so it is not a language model.")
    if n_tensors == 0:
        raise ModelFileError(f"{path} holds no weights (a vocabulary only). Choose a model file.")
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
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _count_params(reader: _Reader, n_tensors: int) -> int:
    total = 0
    for _ in range(n_tensors):
        reader.string()
        n_dims = reader.scalar("I")
        if n_dims > 8:
            raise reader.truncated()
        total += math.prod(reader.scalar("Q") for _ in range(n_dims))
        reader.skip(12)
    return total


def _foreign(path: Path, start: bytes) -> ModelFileError:
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            return ModelFileError(f"{path} is not a GGUF file: it looks like {what}.")
    if start[8:9] == b"{":
        return ModelFileError(
            f"{path} is a safetensors file. Convert it to GGUF with llama.cpp, or fetch a GGUF."
        )
    return ModelFileError(f"{path} is not a GGUF file. Choose a file that llama.cpp can load.")
