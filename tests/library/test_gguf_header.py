# SPDX-License-Identifier: MIT
"""Headers of real files are read; every other file gets a sentence."""

import os
import struct
import time
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.library.ggml_types import BLOCKS, TYPE_NAMES
from rigpanel.library.gguf_header import read_header
from rigpanel.library.gguf_reader import ModelFileError
from tests.fit.made_architectures import Sizes, write
from tests.library.made_shards import write_shards


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "demo.gguf", DemoShape(n_vocab=600))


def test_a_real_file_says_what_it_is(model: Path) -> None:
    header = read_header(model)
    assert (header.arch, header.n_layer, header.n_ctx_train) == ("llama", 4, 4096)
    assert header.file_type == "F16"
    assert header.n_params == 2 * 600 * 128 + 128 + 4 * (
        2 * 128 + 2 * 128**2 + 2 * 64 * 128 + 3 * 128 * 256
    )
    assert header.chat_template is not None
    assert header.n_vocab == 600


def test_a_file_cut_in_its_weights_is_told_before_it_is_loaded(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(model.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match=r"cut\.gguf is cut short: .* MiB"):
        read_header(path)


@pytest.mark.parametrize("name", ["llama", "deepseek2", "granitehybrid"])
def test_every_tensor_is_as_the_gguf_package_has_it(name: str, tmp_path: Path) -> None:
    sizes = Sizes(n_embd=64, n_head=2, head=32, n_ff=64, n_layer=3, n_vocab=600, n_ff_exp=32)
    path = write(tmp_path / "m.gguf", name, sizes)
    header = read_header(path)
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert len(header.tensors) == len(theirs)
    for tensor in header.tensors:
        other = theirs[tensor.name]
        assert tensor.shape == tuple(int(n) for n in other.shape)
        assert (tensor.type, tensor.n_bytes) == (int(other.tensor_type), int(other.n_bytes))
    assert header.number("block_count") == 3
    heads_kv = header.each_layer("attention.head_count_kv")
    assert (
        heads_kv == {"llama": (2, 2, 2), "deepseek2": (1, 1, 1), "granitehybrid": (0, 0, 2)}[name]
    )
    assert header.number("no.such.key", 7) == 7


def test_a_model_in_several_files_is_read_as_one_from_any_of_them(tmp_path: Path) -> None:
    files = write_shards(tmp_path, 3)
    headers = [read_header(path) for path in files]
    assert headers[0] == headers[1] == headers[2]
    assert headers[0].path == files[0]
    assert headers[0].shards == files
    assert len(headers[0].tensors) == 39
    assert {tensor.shard for tensor in headers[0].tensors} == {0, 1, 2}
    files[2].unlink()
    with pytest.raises(ModelFileError, match=r"split-00003-of-00003\.gguf does not exist"):
        read_header(files[0])
    files[0].rename(tmp_path / "renamed.gguf")
    with pytest.raises(ModelFileError, match="not named so"):
        read_header(tmp_path / "renamed.gguf")


def test_a_file_that_names_no_type_is_told_by_its_weights(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "untyped.gguf"
    path.write_bytes(model.read_bytes().replace(b"general.file_type", b"general.file_hype"))
    assert read_header(path).file_type == "F16"


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    theirs = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in BLOCKS} == BLOCKS
    assert {kind: gguf.GGMLQuantizationType(kind).name for kind in TYPE_NAMES} == TYPE_NAMES


def test_a_large_vocabulary_costs_no_time(tmp_path: Path) -> None:
    path = write_demo_model(tmp_path / "wide.gguf", DemoShape(n_embd=32, n_vocab=128_000))
    started = time.process_time()
    assert read_header(path).n_vocab == 128_000
    assert time.process_time() - started < 1.0


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def behind_the_vocabulary(block_count: int) -> bytes:
    """Return what follows the tokens: two keys and the only tensor."""
    return b"".join(
        (
            string(b"tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 2),
            string(b"llama.block_count") + struct.pack("<II", 4, block_count),
            string(b"output.weight") + struct.pack("<IQIQ", 1, 8, 0, 0),
        )
    )


IMITATIONS = {
    "nothing": b"",
    "a key": string(b"tokenizer.ggml.eos_token_id"),
    "a key and its value": string(b"tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 2),
    "all that follows": behind_the_vocabulary(7),
}


@pytest.mark.parametrize("imitation", list(IMITATIONS))
@pytest.mark.parametrize("count", [100, 5000])
def test_a_token_that_looks_like_what_follows_the_vocabulary_is_a_token(
    imitation: str, count: int, tmp_path: Path
) -> None:
    tokens = [b"%d" % number for number in range(count)]
    tokens[count * 9 // 10] = IMITATIONS[imitation]  # Where the end is looked for.
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, 4))
        file.write(string(b"general.architecture") + struct.pack("<I", 8) + string(b"llama"))
        file.write(string(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, count))
        file.write(b"".join(map(string, tokens)) + behind_the_vocabulary(3))
        file.write(bytes(-file.tell() % 32) + bytes(32))
    header = read_header(path)
    assert (header.n_vocab, header.n_layer) == (count, 3)
    assert [tensor.name for tensor in header.tensors] == ["output.weight"]


def test_a_huge_array_is_refused_without_walking_it(tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    key = b"tokenizer.ggml.tokens"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key)
        file.write(struct.pack("<IIQ", 9, 8, 2**32))
        file.truncate(2**40)  # Sparse: as if four thousand million empty strings followed.
    started = time.process_time()
    with pytest.raises(ModelFileError, match="damaged"):
        read_header(path)
    assert time.process_time() - started < 1.0


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gguf"
    os.mkfifo(path)
    with pytest.raises(ModelFileError, match="not an ordinary file"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs", "Git LFS pointer"),
        (struct.pack("<Q", 90) + b'{"__metadata__"', "safetensors"),
        (b"hello there, this is text", "not a GGUF"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(16), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "no architecture"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 1), "cut short or damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63), "cut short or damaged"),
    ],
)
def test_another_file_gets_a_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=says):
        read_header(path)


def test_what_is_no_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_header(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A hybrid's file without its weights' last bytes: arrays, strings and tensors all occur."""
    sizes = Sizes(n_embd=64, n_head=2, head=32, n_ff=64, n_layer=3, n_vocab=300)
    path = write(tmp_path_factory.mktemp("whole") / "m.gguf", "granitehybrid", sizes)
    return path.read_bytes()


lengths = st.sampled_from([2**63, 2**32, 2**31, 2**16, 1, 0, 2**64 - 1])
pieces = st.binary(min_size=1, max_size=8) | st.builds(struct.pack, st.just("<Q"), lengths)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    changes=st.lists(st.tuples(st.integers(0, 12_000), pieces), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 60_000),
)
def test_a_damaged_header_is_read_or_refused(
    whole: bytes, tmp_path: Path, changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    changed = bytearray(whole)
    for at, new in changes:
        changed[at : at + len(new)] = new
    path = tmp_path / "damaged.gguf"
    path.write_bytes(changed[:cut])
    try:
        header = read_header(path)
    except ModelFileError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert sum(tensor.n_bytes for tensor in header.tensors) <= len(whole)


def test_an_array_of_arrays_is_refused_as_llama_cpp_does(tmp_path: Path) -> None:
    path = tmp_path / "nested.gguf"
    key = b"general.nested"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key)
        file.write(struct.pack("<IIQIQ", 9, 9, 7_000_000, 0, 0))
        file.truncate(2**40)
    with pytest.raises(ModelFileError, match="damaged"):
        read_header(path)


def test_a_file_that_names_thousands_of_tensors_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 2**32, 0))
        file.truncate(2**40)
    with pytest.raises(ModelFileError, match="damaged"):
        read_header(path)


def test_nobody_s_home_is_told_as_no_file() -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        read_header(Path("~no-such-person/a.gguf"))
