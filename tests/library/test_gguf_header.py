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
from rigpanel.library.ggml_types import BLOCKS
from rigpanel.library.gguf_header import read_header
from rigpanel.library.gguf_reader import ModelFileError


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


def test_block_sizes_are_those_of_the_gguf_package() -> None:
    theirs = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in BLOCKS} == BLOCKS


def test_a_large_vocabulary_costs_no_time(tmp_path: Path) -> None:
    path = write_demo_model(tmp_path / "wide.gguf", DemoShape(n_embd=32, n_vocab=128_000))
    started = time.process_time()
    assert read_header(path).n_vocab == 128_000
    assert time.process_time() - started < 1.0


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 20_000), at=st.integers(0, 4_000), byte=st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused(
    model: Path, tmp_path: Path, cut: int, at: int, byte: int
) -> None:
    data = bytearray(model.read_bytes()[:cut])
    if at < len(data):
        data[at] = byte
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    try:
        read_header(path)
    except ModelFileError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
