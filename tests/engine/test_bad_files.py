# SPDX-License-Identifier: MIT
"""Files that are no model, or hostile ones: a sentence each, and the engine can be used after."""

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import EngineDiedError, EngineState, TextGenerated
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.driving import ask, quiet, reply, run
from tests.engine.made_models import model_in_parts
from tests.engine.mutations import Layout, mutated

SMALL = DemoShape(n_embd=64, n_layer=2, n_head=2, n_head_kv=2, n_ff=64, n_vocab=300)
QUICK = {"max_tokens": 3, "ignore_eos": True}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "small.gguf", SMALL)


@pytest.fixture(scope="module")
def data(small: Path) -> bytes:
    return small.read_bytes()


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def cut(at: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * at)]


def number(key: str, value: float, kind: str = "<I") -> Callable[[bytes], bytes]:
    """Change one number of the header."""

    def change(data: bytes) -> bytes:
        at = data.index(key.encode()) + len(key) + 4
        return data[:at] + struct.pack(kind, value) + data[at + struct.calcsize(kind) :]

    return change


def at_offset(offset: int, raw: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:offset] + raw + data[offset + len(raw) :]


def dimension(tensor: str, value: int) -> Callable[[bytes], bytes]:
    """Change the first dimension of a tensor."""

    def change(data: bytes) -> bytes:
        at = data.index(struct.pack("<Q", len(tensor)) + tensor.encode()) + 8 + len(tensor) + 4
        return data[:at] + struct.pack("<Q", value) + data[at + 8 :]

    return change


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    assert len(old) == len(new)
    return lambda data: data.replace(old, new)


BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (cut(0), "is empty"),
    "cut in the first number": (lambda data: data[:6], "not a GGUF|cut short"),
    "cut in its header": (lambda data: data[:300], "header runs past its end"),
    "cut in its vocabulary": (cut(0.05), "header runs past its end|cut short"),
    "cut in its weights": (cut(0.9), "is cut short"),
    "text": (lambda _: b"Hello, I am a poem.\n" * 50, "not a GGUF file"),
    "a web page": (lambda _: b"<!DOCTYPE html><html>404</html>", "web page"),
    "zeros": (lambda data: bytes(len(data)), "not a GGUF file"),
    "big-endian": (at_offset(4, b"\0\0\0\3"), "big-endian"),
    "of a version to come": (at_offset(4, struct.pack("<I", 77)), "version 77"),
    "with tensors without end": (at_offset(8, b"\xff" * 8), "cut short or damaged"),
    "with values without end": (at_offset(16, b"\xff" * 8), "cut short or damaged"),
    "of an unknown architecture": (
        swapped(b"\x05" + bytes(7) + b"llama", b"\x05" + bytes(7) + b"lloma"),
        "unknown model architecture: 'lloma'",
    ),
    "without heads": (number("llama.attention.head_count", 0), "."),
    "with heads without end": (number("llama.attention.head_count", 2**31), "."),
    "with more key heads than heads": (number("llama.attention.head_count_kv", 5), "."),
    "without layers": (number("llama.block_count", 0), "SIGABRT.*n_layer.*Nothing is loaded"),
    "with layers without end": (number("llama.block_count", 2**32 - 1), "."),
    "with one layer more": (number("llama.block_count", 3), "blk.2.*not found"),
    "with a wrong width": (number("llama.feed_forward_length", 65), "ffn_.* wrong shape"),
    "with odd rope dimensions": (number("llama.rope.dimension_count", 31), "n_rot: 31"),
    "with a negative epsilon": (
        number("llama.attention.layer_norm_rms_epsilon", -1.0, "<f"),
        "SIGABRT.*eps >= 0",
    ),
    "with a negative dimension": (dimension("blk.0.attn_q.weight", 2**64 - 4), "."),
    "with dimensions that overflow": (dimension("output.weight", 2**62), "."),
    "with an empty tensor": (dimension("blk.0.ffn_up.weight", 0), "."),
    "with a tensor of another name": (
        swapped(b"output_norm", b"autput_norm"),
        "output_norm.weight",
    ),
    "with end-of-reply past the vocabulary": (number("eos_token_id", 2**31), "."),
    "with a vocabulary longer than its rows": (number("llama.vocab_size", 301), "."),
}


async def what_becomes_of(engine: Engine, model: Path) -> str:
    """Load a file and have it say something; returns the sentence that tells why not, or ""."""
    try:
        await engine.load(LoadSettings(model, threads=1, n_ctx=256), quiet)
        await reply(engine, ask("hello", **QUICK))
    except RigpanelError as error:
        sentence = str(error)
        assert sentence.endswith("."), sentence
        assert "Traceback" not in sentence
        assert "unexpectedly: " not in sentence
        return sentence
    return ""


def test_each_bad_file_gets_a_sentence_and_the_engine_can_be_used_after(
    small: Path, data: bytes, tmp_path: Path
) -> None:
    """Those of which the pattern is a dot may also run: llama.cpp does not look at that number."""

    async def work(engine: ProcessEngine) -> None:
        for name, (make, says) in BAD.items():
            bad = write(tmp_path / f"{name}.gguf", make(data))
            sentence = await what_becomes_of(engine, bad)
            assert re.search(says, sentence or "It runs."), f"{name}: {sentence}"
            if engine.status.state is EngineState.STOPPED:
                assert engine.status.problem == sentence
                assert engine.status.settings == LoadSettings(bad, threads=1, n_ctx=256)
                assert engine.status.log_tail
        assert await what_becomes_of(engine, small) == ""

    run(ProcessEngine, work)


def test_what_is_no_ordinary_file_is_told_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.gguf"
    os.mkfifo(fifo)
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)

    async def work(engine: Engine) -> None:
        for path, says in (
            (fifo, "not an ordinary file"),
            (tmp_path, "is a folder"),
            (Path("/dev/zero"), "not an ordinary file"),
            (loop, "symbolic links|cannot be read|does not exist"),
            (tmp_path / ("n" * 300), "cannot be read: File name too long"),
        ):
            with pytest.raises(RigpanelError, match=says):
                await engine.load(LoadSettings(path), quiet)

    run(ProcessEngine, work)


def test_a_missing_part_is_named_and_the_whole_runs(tmp_path: Path) -> None:
    first, second, third = model_in_parts(tmp_path / "m.gguf", SMALL, 10)

    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(first, threads=1), quiet)
        with pytest.raises(RigpanelError, match=f"choose its first, {first.name}"):
            await engine.load(LoadSettings(second), quiet)
        third.unlink()
        with pytest.raises(RigpanelError, match=f"{third.name} is missing"):
            await engine.load(LoadSettings(first), quiet)

    run(ProcessEngine, work)


def test_a_file_that_is_cut_while_it_is_read_costs_the_model_only(tmp_path: Path) -> None:
    shape = DemoShape(n_embd=512, n_layer=8, n_head=8, n_head_kv=8, n_ff=1024, n_vocab=2048)
    model = write_demo_model(tmp_path / "m.gguf", shape)
    whole = model.read_bytes()

    def cut_it(fraction: float) -> None:
        if fraction < 1:
            os.truncate(model, len(whole) // 4)

    async def work(engine: Engine) -> None:
        with pytest.raises(RigpanelError, match=r"reached end of file|is cut short"):
            await engine.load(LoadSettings(model, threads=1, use_mmap=False), cut_it)
        model.write_bytes(whole)
        await engine.load(LoadSettings(model, threads=1), quiet)
        os.truncate(model, 4096)
        text = ""
        with pytest.raises(EngineDiedError, match=r"SIGBUS\. Its file was cut"):  # noqa: PT012
            async for event in engine.chat(ask("hello", ignore_eos=True)):
                text += event.text if isinstance(event, TextGenerated) else ""
        model.write_bytes(whole)
        await engine.load(LoadSettings(model, threads=1), quiet)

    run(ProcessEngine, work)


def test_a_file_that_is_taken_away_while_it_is_loaded_still_runs(
    small: Path, tmp_path: Path
) -> None:
    """It stays on the disk until the engine lets go of it; a second load says that it is gone."""
    model = tmp_path / "m.gguf"
    model.write_bytes(small.read_bytes())

    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1), lambda _: model.unlink(missing_ok=True))
        assert (await reply(engine, ask("hello", **QUICK)))[1].n_gen == 3
        with pytest.raises(RigpanelError, match="does not exist"):
            await engine.load(LoadSettings(model, threads=1), quiet)

    run(ProcessEngine, work)


async def fuzz(engine: ProcessEngine, data: bytes, folder: Path, seeds: range) -> None:
    layout = Layout(data)
    ends = {"ran": 0, "refused": 0, "ended the engine": 0}
    for seed in seeds:
        bad = write(folder / "bad.gguf", mutated(data, layout, seed))
        sentence = await what_becomes_of(engine, bad)
        died = engine.status.state is EngineState.STOPPED
        ends["ended the engine" if died else "refused" if sentence else "ran"] += 1
    print(ends)
    assert ends["refused"]
    assert await what_becomes_of(engine, write(folder / "whole.gguf", data)) == ""


def test_a_hundred_damaged_files(data: bytes, tmp_path: Path) -> None:
    run(ProcessEngine, lambda engine: fuzz(engine, data, tmp_path, range(120)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_thousand_damaged_files(data: bytes, tmp_path: Path) -> None:
    seeds = range(1000, 31_000)
    run(ProcessEngine, lambda engine: fuzz(engine, data, tmp_path, seeds))
