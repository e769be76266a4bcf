# SPDX-License-Identifier: MIT
"""What a GGUF file says of itself: its tensors and hyper-parameters, read in milliseconds."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeAlias

from rigpanel.library.ggml_types import BLOCKS, FILE_TYPES, TYPE_NAMES
from rigpanel.library.gguf_reader import (
    ARRAY,
    MIB,
    GgufReader,
    ModelFileError,
    Value,
)
from rigpanel.paths import expanded

MAX_KEY = 65_535
MAX_NAME = 255
"""Of a tensor; llama.cpp allows 63 bytes."""
MAX_VALUES = 65_536
MAX_KEPT_VALUES = 4096
MAX_TENSORS = 131_072
MAX_DIMS = 4
MAX_SHARDS = 999
MAX_PADDING = 4096
"""Bytes behind the last tensor of a file; writers fill up to the next multiple of 32."""
MAX_LAYERS = 4096
"""llama.cpp itself stops at 512."""
_WANTED = {
    "general.architecture",
    "general.name",
    "general.type",
    "general.size_label",
    "general.file_type",
    "general.alignment",
    "tokenizer.chat_template",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "split.no",
    "split.count",
    "split.tensors.count",
}
_TOKENS = "tokenizer.ggml.tokens"
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
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

_Values: TypeAlias = dict[str, Value | tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its shape with the row length first, as GGUF has it."""

    name: str
    type: int
    """Enum ggml_type; see `ggml_types`."""
    shape: tuple[int, ...]
    offset: int
    """Bytes from where the shard's data begins."""
    n_bytes: int
    shard: int = 0

    @property
    def n_elements(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What is known of a model before a byte of its weights is read."""

    path: Path
    """The file; of a model in several, the first."""
    arch: str
    name: str
    file_type: str
    n_params: int
    size_mib: float
    """Size of the file, or of all of them."""
    n_layer: int
    n_ctx_train: int
    chat_template: str | None
    n_vocab: int = 0
    """Tokens in its vocabulary; 0 where it brings none."""
    shards: tuple[Path, ...] = ()
    """All its files, in order."""
    tensors: tuple[TensorInfo, ...] = ()
    values: Mapping[str, Value | tuple[Value, ...]] = field(default_factory=dict)
    """Hyper-parameters by their names without the architecture, as `attention.head_count`."""

    def number(self, key: str, default: int = 0) -> int:
        """Return a hyper-parameter that is a whole number not below 0, or the default."""
        value = self.values.get(key)
        return _whole(value) if isinstance(value, int) else default

    def each_layer(self, key: str, default: int = 0) -> tuple[int, ...]:
        """Return a hyper-parameter for each layer, whether the file gives one or one a layer."""
        value = self.values.get(key)
        if isinstance(value, tuple):
            given = [_whole(item) for item in value[: self.n_layer]]
            return (*given, *[default] * (self.n_layer - len(given)))
        return (self.number(key, default),) * self.n_layer


@dataclass(frozen=True, slots=True)
class _Shard:
    """What one file holds."""

    path: Path
    size: int
    values: _Values
    tensors: tuple[TensorInfo, ...]
    n_vocab: int
    end: int
    """Where the last of its tensors ends."""


def read_header(path: Path) -> GgufHeader:
    """Read the header of a model's file, or of all its files when it comes in several.

    Raises ModelFileError for anything that is no whole GGUF model.
    """
    path = expanded(path)
    if "\0" in str(path):
        raise ModelFileError(f"{str(path)!r} is no name of a file. Check the name.")
    first = _read_file(path, 0)
    count = _whole(first.values.get("split.count"))
    if count > 1:
        return _from_shards(_read_shards(first, count))
    return _from_shards([first])


def shard_place(path: Path) -> tuple[str, int, int] | None:
    """Return stem, number and count of a file named `STEM-0000N-of-0000M.gguf`, else None."""
    found = _SHARD.match(path.name)
    return (found["stem"], int(found["number"]), int(found["count"])) if found else None


def shard_paths(path: Path) -> tuple[Path, ...]:
    """Return the names of all files of the model that `path` is one file of, in order."""
    place = shard_place(path)
    if place is None or not 1 <= place[2] <= MAX_SHARDS:
        return (path,)
    stem, _, count = place
    return tuple(
        path.with_name(f"{stem}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)
    )


def _read_shards(given: _Shard, count: int) -> list[_Shard]:
    names = shard_paths(given.path)
    if len(names) != count:
        raise ModelFileError(
            f"{given.path} is one of {count} files of a model, and is not named so. Name them all "
            f"NAME-00001-of-{count:05}.gguf and so on."
        )
    shards = []
    for index, name in enumerate(names):
        if name == given.path:
            shard = replace(given, tensors=_in_shard(given.tensors, index))
        else:
            try:
                shard = _read_file(name, index)
            except ModelFileError as error:
                gone = isinstance(error.__cause__, FileNotFoundError)
                raise ModelFileError(
                    f"{given.path.name} is one of {count} files of a model, and "
                    + (f"{name.name} is missing beside it" if gone else "another is not usable")
                    + f": {error}"
                ) from error
        shards.append(shard)
    n_tensors = _whole(shards[0].values.get("split.tensors.count"))
    found = sum(len(shard.tensors) for shard in shards)
    if n_tensors and n_tensors != found:
        raise ModelFileError(
            f"{shards[0].path} and the files with it hold {found} of {n_tensors} tensors: they are "
            "not of one model. Fetch them again."
        )
    return shards


def _in_shard(tensors: tuple[TensorInfo, ...], shard: int) -> tuple[TensorInfo, ...]:
    return tuple(replace(tensor, shard=shard) for tensor in tensors) if shard else tensors


def _read_file(path: Path, shard: int) -> _Shard:
    try:
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder; choose a .gguf file in it.")
        if path.exists() and not path.is_file():
            raise ModelFileError(f"{path} is not an ordinary file; choose a .gguf file.")
        size = path.stat().st_size
        if size == 0:
            raise ModelFileError(f"{path} is empty. Fetch the file again.")
        with path.open("rb") as file:
            return _parse(path, file, size, shard)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path} does not exist. Check the name.") from error
    except PermissionError as error:
        raise ModelFileError(f"{path} may not be read by this user. Check its rights.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(path: Path, file: BinaryIO, size: int, shard: int) -> _Shard:
    start = file.read(16)
    if start[:4] != b"GGUF":
        raise _foreign(path, start)
    reader = GgufReader(path, file, size, leaps=True)
    try:
        found = _parse_with(reader, path, shard)
    except ModelFileError:
        if not reader.leapt:
            raise
    else:
        if not reader.leapt or size - MAX_PADDING < found.end <= size:
            return found
    # Where the guess at a vocabulary's end was wrong, it is walked string by string.
    return _parse_with(GgufReader(path, file, size, leaps=False), path, shard)


def _parse_with(reader: GgufReader, path: Path, shard: int) -> _Shard:
    size = reader.size
    reader.skip(4)
    version = reader.scalar("I")
    if version in (0x02000000, 0x03000000):
        raise ModelFileError(f"{path} is a big-endian GGUF, which this machine cannot run.")
    if version not in (2, 3):
        raise ModelFileError(
            f"{path} is GGUF version {version}; versions 2 and 3 can be loaded. Fetch a newer file."
        )
    n_tensors, n_values = reader.scalars("QQ")
    if n_tensors > MAX_TENSORS or n_values > MAX_VALUES:
        raise reader.damaged()
    values, n_vocab = _read_values(reader, n_values)
    raw = [_read_tensor(reader) for _ in range(n_tensors)]
    data_at = _aligned(reader.at, values.get("general.alignment"))
    tensors = _sized(raw, size - data_at, shard)
    needed = max((data_at + tensor.offset + tensor.n_bytes for tensor in tensors), default=0)
    if needed > size:
        raise ModelFileError(
            f"{path} is cut short: {size / MIB:.1f} MiB of at least {needed / MIB:.1f} MiB are "
            "there. Fetch the file again."
        )
    return _Shard(path, size, values, tensors, n_vocab, needed)


def _from_shards(shards: list[_Shard]) -> GgufHeader:
    first = shards[0]
    values = first.values
    arch = values.get("general.architecture")
    if not isinstance(arch, str) or not arch:
        raise ModelFileError(
            f"{first.path} names no architecture, so it is not a language model. Choose another."
        )
    tensors = tuple(tensor for shard in shards for tensor in shard.tensors)
    if not tensors:
        raise ModelFileError(
            f"{first.path} holds no weights (a vocabulary only). Choose a model file."
        )
    prefix = arch + "."
    own: _Values = {
        key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)
    }
    own |= {key: value for key, value in values.items() if key in _WANTED}
    template = values.get("tokenizer.chat_template")
    file_type = values.get("general.file_type")
    return GgufHeader(
        path=first.path,
        arch=arch,
        name=str(values.get("general.name") or first.path.stem),
        file_type=FILE_TYPES.get(file_type, f"type {file_type}")
        if isinstance(file_type, int)
        else _commonest_type(tensors),
        n_params=sum(tensor.n_elements for tensor in tensors),
        size_mib=sum(shard.size for shard in shards) / MIB,
        n_layer=min(_whole(own.get("block_count")), MAX_LAYERS),
        n_ctx_train=_whole(own.get("context_length")),
        chat_template=template if isinstance(template, str) and template else None,
        n_vocab=first.n_vocab or _whole(own.get("vocab_size")),
        shards=tuple(shard.path for shard in shards),
        tensors=tensors,
        values=own,
    )


def _commonest_type(tensors: tuple[TensorInfo, ...]) -> str:
    """Return the name of the type that most of the weights are in."""
    sizes: Counter[int] = Counter()
    for tensor in tensors:
        sizes[tensor.type] += tensor.n_bytes
    kind = sizes.most_common(1)[0][0]
    return TYPE_NAMES.get(kind, f"type {kind}")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _read_values(reader: GgufReader, n_values: int) -> tuple[_Values, int]:
    """Return the values worth keeping and the number of tokens."""
    values: _Values = {}
    n_vocab = 0
    for _ in range(n_values):
        key = reader.string(MAX_KEY)
        if key == _TOKENS:
            if reader.scalar("I") != ARRAY:
                raise reader.damaged()
            n_vocab = reader.array(keep=False)[0]
            continue
        wanted = key in _WANTED or not key.startswith(("general.", "tokenizer."))
        value = reader.value(wanted=wanted)
        if wanted and value is not None:
            values[key] = value
            if len(values) > MAX_KEPT_VALUES:
                raise reader.damaged()
    return values, n_vocab


def _read_tensor(reader: GgufReader) -> tuple[str, tuple[int, ...], int, int]:
    """Return name, shape, type and offset."""
    name = reader.string(MAX_NAME)
    n_dims = reader.scalar("I")
    if n_dims > MAX_DIMS:
        raise reader.damaged()
    *shape, kind, offset = reader.scalars("Q" * n_dims + "IQ")
    return name, tuple(shape), kind, offset


def _sized(
    raw: list[tuple[str, tuple[int, ...], int, int]], room: int, shard: int
) -> tuple[TensorInfo, ...]:
    """Give each tensor its size; that of an unknown type reaches to the next tensor."""
    starts = sorted({offset for *_, offset in raw})
    following = dict(zip(starts, [*starts[1:], max(room, 0)], strict=False))
    tensors = []
    for name, shape, kind, offset in raw:
        if kind in BLOCKS:
            elements, size = BLOCKS[kind]
            n_bytes = math.prod(shape) // elements * size
        else:
            n_bytes = max(following[offset] - offset, 0)
        tensors.append(TensorInfo(name, kind, shape, offset, n_bytes, shard))
    return tuple(tensors)


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
