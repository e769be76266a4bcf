# SPDX-License-Identifier: MIT
"""How an engine starts, is stopped at awkward moments, hangs and dies."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    EngineDiedError,
    EngineError,
    EngineState,
    EngineStatus,
    LoadCancelledError,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from tests.engine.driving import Kind, ask, quiet, reply, run
from tests.engine.made_models import model_with, model_with_bytes


def test_a_file_that_crashes_llama_cpp_crashes_only_its_process(
    model: Path, tmp_path: Path
) -> None:
    crashing = model_with(tmp_path / "crashing.gguf", "llama.block_count", 0)

    async def work(engine: ProcessEngine) -> None:
        with pytest.raises(EngineDiedError, match=r"SIGABRT.*GGML_ASSERT"):
            await engine.load(LoadSettings(crashing, threads=1), quiet)
        assert engine.status.state is EngineState.STOPPED
        assert any("GGML_ASSERT" in line for line in engine.status.log_tail)
        await engine.load(LoadSettings(model, threads=1), quiet)
        assert (await reply(engine, ask("hello", max_tokens=3, ignore_eos=True)))[1].n_gen == 3

    run(ProcessEngine, work)


def test_a_file_that_crashes_llama_cpp_in_a_reply_is_told(tmp_path: Path) -> None:
    crashing = model_with_bytes(tmp_path / "crashing.gguf", b"<0x0A>", b"<0xZZ>")

    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(crashing, threads=1), quiet)
        with pytest.raises(EngineDiedError, match="SIGABRT"):
            await reply(engine, ask("hello"))

    run(ProcessEngine, work)


def test_a_death_while_idle_is_told_to_whoever_watches(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        told = asyncio.Event()
        seen: list[EngineStatus] = []

        def watch(status: EngineStatus) -> None:
            seen.append(status)
            told.set()

        engine.add_listener(watch)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        await asyncio.wait_for(told.wait(), 5)
        assert seen[-1].state is EngineState.STOPPED
        assert "SIGKILL" in (seen[-1].problem or "")
        assert "memory" in (seen[-1].problem or "")
        assert seen[-1].log_tail
        with pytest.raises(EngineError, match="No model is loaded"):
            await reply(engine, ask("hello"))

    run(ProcessEngine, work)


def test_an_engine_that_hangs_is_killed_within_its_limit(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        started = time.monotonic()
        await engine.stop()
        assert time.monotonic() - started < 5.5
        assert engine.status == EngineStatus(EngineState.STOPPED)

    run(ProcessEngine, work)


def test_cancel_before_the_engine_has_even_started(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        load = asyncio.create_task(engine.load(LoadSettings(slow_model, threads=1), quiet))
        await asyncio.sleep(0)
        engine.cancel()
        with pytest.raises(LoadCancelledError):
            await load
        assert engine.status.state is EngineState.EMPTY
        await engine.load(LoadSettings(slow_model, threads=1), quiet)

    run(kind, work)


@pytest.mark.parametrize("turns", [1, 5])
def test_stop_while_a_load_begins(kind: Kind, slow_model: Path, turns: int) -> None:
    async def work(engine: Engine) -> None:
        settings = LoadSettings(slow_model, threads=1, use_mmap=False)
        load = asyncio.create_task(engine.load(settings, quiet))
        for _ in range(turns):
            await asyncio.sleep(0)
        await engine.stop()
        with pytest.raises(EngineError):
            await load
        assert engine.status.state in {EngineState.STOPPED, EngineState.EMPTY}
        await engine.load(settings, quiet)

    run(kind, work)


def test_stop_while_a_reply_is_written(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(slow_model, threads=1), quiet)
        begun = asyncio.Event()

        async def listen() -> None:
            async for event in engine.chat(ask("hello", ignore_eos=True)):
                if isinstance(event, TextGenerated):
                    begun.set()

        listening = asyncio.create_task(listen())
        await asyncio.wait_for(begun.wait(), 20)
        started = time.monotonic()
        await engine.stop()
        assert time.monotonic() - started < 5
        await asyncio.wait_for(asyncio.gather(listening, return_exceptions=True), 5)
        assert engine.status.state is EngineState.STOPPED

    run(kind, work)


def test_a_reply_left_early_is_ended_and_the_next_one_comes(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(slow_model, threads=1), quiet)
        events: Any = engine.chat(ask("hello", ignore_eos=True))
        async for event in events:
            if isinstance(event, TextGenerated):
                break
        await events.aclose()
        assert engine.status.state is EngineState.READY
        _, stats = await reply(engine, ask("hello", max_tokens=3, ignore_eos=True))
        assert stats.n_gen == 3

    run(kind, work)


def test_a_load_whose_task_is_cancelled_is_cancelled(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        def watch(status: EngineStatus) -> None:
            if status.state is EngineState.EMPTY:
                ended.set()

        engine.add_listener(watch)
        settings = LoadSettings(slow_model, threads=1, use_mmap=False)
        load = asyncio.create_task(engine.load(settings, lambda _: begun.set()))
        await asyncio.wait_for(begun.wait(), 20)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        await asyncio.wait_for(ended.wait(), 5)
        await engine.load(settings, quiet)

    run(kind, work)


def test_unload_gives_the_memory_back_and_a_busy_engine_refuses(
    kind: Kind, slow_model: Path
) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(slow_model, threads=1), quiet)
        pid = getattr(engine, "pid", None)
        async for event in engine.chat(ask("hello", ignore_eos=True)):
            if isinstance(event, TextGenerated):
                with pytest.raises(EngineError, match="being written"):
                    await engine.unload()
                with pytest.raises(EngineError, match="being written"):
                    await engine.load(LoadSettings(slow_model, threads=1), quiet)
                engine.cancel()
        await engine.unload()
        assert engine.status == EngineStatus(EngineState.EMPTY)
        if pid not in (None, os.getpid()):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        await engine.unload()
        await engine.load(LoadSettings(slow_model, threads=1), quiet)

    run(kind, work)


def test_settings_that_cannot_be_are_refused_with_what_to_change(model: Path) -> None:
    settings = LoadSettings(model, split_mode=SplitMode.TENSOR, flash_attn="off")

    async def work(engine: Engine) -> None:
        with pytest.raises(EngineError, match="tensor needs flash"):
            await engine.load(settings, quiet)
        assert engine.status.state is EngineState.EMPTY

    run(ThreadEngine, work)


def test_llama_cpps_own_reason_is_told(tmp_path: Path) -> None:
    odd = model_with(tmp_path / "odd.gguf", "llama.feed_forward_length", 3)

    async def work(engine: Engine) -> None:
        with pytest.raises(EngineError, match="ffn_"):
            await engine.load(LoadSettings(odd), quiet)

    run(ThreadEngine, work)
