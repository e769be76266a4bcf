# SPDX-License-Identifier: MIT
"""Engines that hang, do not obey, flood or run out of memory: ended or told, never waited for."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path

import psutil
import pytest

from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    EngineDiedError,
    EngineError,
    EngineState,
    EngineStatus,
    LoadCancelledError,
    ReplyFinished,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.fit.load_settings import LoadSettings
from tests.engine.driving import Kind, ask, quiet, reply, run
from tests.engine.made_models import model_named

MIB = 1024 * 1024


def freeze(engine: ProcessEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)


def test_an_engine_that_freezes_in_a_reply_is_killed_and_told(model: Path) -> None:
    settings = LoadSettings(model, threads=1)

    async def work(engine: ProcessEngine) -> None:
        await engine.load(settings, quiet)
        engine._watchdog.hang_limit_s = 1.0
        text = ""
        with pytest.raises(EngineDiedError, match=r"no sign of life for \d s, so it was ended"):  # noqa: PT012
            async for event in engine.chat(ask("hello", ignore_eos=True)):
                if isinstance(event, TextGenerated):
                    text += event.text
                    freeze(engine)
        assert text
        assert engine.status.state is EngineState.STOPPED
        assert "load it again" in (engine.status.problem or "")
        assert engine.status.settings == settings
        engine._watchdog.hang_limit_s = 60.0
        await engine.load(settings, quiet)
        assert engine.status.settings is None

    run(ProcessEngine, work)


def test_an_engine_that_freezes_in_a_load_is_killed_and_told(slow_model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        def freeze_now(_: float) -> None:
            engine._watchdog.hang_limit_s = 1.0
            freeze(engine)

        with pytest.raises(EngineDiedError, match=r"no sign of life.*Nothing is loaded"):
            await engine.load(LoadSettings(slow_model, threads=1, use_mmap=False), freeze_now)

    run(ProcessEngine, work)


def test_a_reply_that_does_not_stop_when_told_is_ended(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        with pytest.raises(EngineDiedError, match="did not stop within 1 s of being told to"):  # noqa: PT012
            async for event in engine.chat(ask("hello", ignore_eos=True)):
                if isinstance(event, TextGenerated):
                    freeze(engine)
                    engine.cancel()

    run(lambda: ProcessEngine(cancel_limit_s=1.0), work)


def works_on(process: psutil.Process, until_cpu_s: float) -> None:
    while process.cpu_times().user < until_cpu_s:
        time.sleep(0.05)


def test_a_grammar_that_llama_cpp_reads_for_ever_can_be_stopped(model: Path) -> None:
    """Reading it keeps the processor busy, so no watchdog calls it a hang; Stop must do."""
    doubled = "\n".join(f"a{n} ::= a{n + 1} a{n + 1}" for n in range(30))
    grammar = f'root ::= a0 "x"\n{doubled}\na30 ::= "x"?'

    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        process = psutil.Process(engine.pid)
        before_s = process.cpu_times().user
        asked = asyncio.create_task(reply(engine, ask("hello", grammar=grammar)))
        await asyncio.to_thread(works_on, process, before_s + 0.5)
        engine.cancel()
        with pytest.raises(EngineDiedError, match=r"did not stop within 1 s .* load it again"):
            await asked

    run(lambda: ProcessEngine(cancel_limit_s=1.0), work)


def test_a_load_that_does_not_stop_when_told_is_cancelled_all_the_same(slow_model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        def freeze_and_cancel(_: float) -> None:
            freeze(engine)
            engine.cancel()

        settings = LoadSettings(slow_model, threads=1, use_mmap=False)
        with pytest.raises(LoadCancelledError):
            await engine.load(settings, freeze_and_cancel)
        assert engine.status == EngineStatus(EngineState.STOPPED)
        await engine.load(settings, quiet)

    run(lambda: ProcessEngine(cancel_limit_s=1.0), work)


def test_a_slow_piece_of_a_prompt_is_not_a_hang(slow_model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        settings = LoadSettings(slow_model, threads=1, n_ctx=4096, n_batch=2048, n_ubatch=2048)
        await engine.load(settings, quiet)
        engine._watchdog.hang_limit_s = 2.5
        _, stats = await reply(engine, ask("warm " * 240, max_tokens=1, ignore_eos=True))
        assert stats.n_gen == 1

    run(ProcessEngine, work)


def test_chat_and_unload_are_refused_while_a_load_runs(kind: Kind, model: Path) -> None:
    async def work(engine: Engine) -> None:
        load = asyncio.create_task(engine.load(LoadSettings(model, threads=1), quiet))
        await asyncio.sleep(0)
        with pytest.raises(EngineError, match="being loaded"):
            await reply(engine, ask("hello"))
        with pytest.raises(EngineError, match="being loaded"):
            await engine.unload()
        await load

    run(kind, work)


def test_a_flood_of_log_does_not_hold_the_engine_up(tmp_path: Path) -> None:
    """llama.cpp logs a model's whole name: far more than a pipe holds, on one line."""
    path = model_named(tmp_path / "loud.gguf", "n" * 8 * MIB)

    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(path, threads=1), quiet)
        assert engine._child is not None
        assert sum(len(line) for line in engine._child.lines) < MIB

    run(ProcessEngine, work)


def test_a_context_that_memory_does_not_hold_is_told_and_the_engine_lives(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        assert engine.pid is not None
        room = psutil.Process(engine.pid).memory_info().vms + 64 * MIB
        resource.prlimit(engine.pid, resource.RLIMIT_AS, (room, room))
        with pytest.raises(EngineError, match=r"memory.*smaller context") as told:
            await engine.load(LoadSettings(model, threads=1, n_ctx=1_048_576), quiet)
        assert not isinstance(told.value, EngineDiedError)
        await engine.load(LoadSettings(model, threads=1), quiet)

    run(ProcessEngine, work)


def test_inside_the_panel_unloading_gives_the_memory_back(slow_model: Path) -> None:
    size = slow_model.stat().st_size
    settings = LoadSettings(slow_model, threads=1, use_mmap=False)

    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    async def work(engine: Engine) -> None:
        await engine.load(settings, quiet)
        await engine.unload()
        before = resident()
        for _ in range(3):
            await engine.load(settings, quiet)
            assert resident() - before > 0.7 * size
            await engine.unload()
        assert resident() - before < 0.2 * size

    run(ThreadEngine, work)


def test_a_cancel_that_comes_after_the_end_harms_nobody(kind: Kind, model: Path) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        async for event in engine.chat(ask("hello", max_tokens=2, ignore_eos=True)):
            if isinstance(event, ReplyFinished):
                engine.cancel()
        engine.cancel()
        assert (await reply(engine, ask("hello", max_tokens=2, ignore_eos=True)))[1].n_gen == 2

    run(kind, work)
