# SPDX-License-Identifier: MIT
"""Both engines on a real model: load, chat, cancel, die, stop, with nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    EngineDiedError,
    EngineError,
    EngineState,
    FinishReason,
    LoadCancelledError,
    PrefillProgressed,
    ReplyFinished,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.fit.load_settings import LoadSettings
from tests.engine.driving import Kind, ask, reply, run


def test_a_model_is_loaded_and_chatted_with(kind: Kind, model: Path) -> None:
    async def work(engine: Engine) -> None:
        progress: list[float] = []
        loaded = await engine.load(LoadSettings(model, threads=1, n_ctx=1024), progress.append)
        assert progress[-1] == 1.0
        assert (loaded.n_layer, loaded.n_ctx, loaded.template) == (4, 1024, "file")
        assert sum(use.weights_mib for use in loaded.devices) == pytest.approx(1.63, abs=0.1)
        text, stats = await reply(engine, ask("hello", seed=7, max_tokens=20, ignore_eos=True))
        assert text.strip()
        assert (stats.n_gen, stats.finish_reason) == (20, FinishReason.LENGTH)
        assert stats.ttft_s is not None
        assert stats.ttft_s > 0
        _, warm = await reply(engine, ask("hello", seed=7, max_tokens=20, ignore_eos=True))
        assert warm.n_cached == stats.n_prompt - 1

    run(kind, work)


def test_a_full_context_ends_the_reply_and_a_long_prompt_is_refused(
    kind: Kind, model: Path
) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1, n_ctx=256), lambda _: None)
        _, stats = await reply(engine, ask("hello", ignore_eos=True))
        assert stats.finish_reason is FinishReason.LENGTH
        assert stats.n_prompt + stats.n_gen == 256
        with pytest.raises(EngineError, match="context holds 256"):
            await reply(engine, ask("hello " * 400))
        assert engine.status.state is EngineState.READY

    run(kind, work)


def test_stop_ends_a_reply_and_keeps_its_text(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(slow_model, threads=1, n_ctx=2048), lambda _: None)
        text = ""
        async for event in engine.chat(ask("hello", ignore_eos=True)):
            if isinstance(event, TextGenerated):
                text += event.text
                engine.cancel()
            elif isinstance(event, ReplyFinished):
                assert event.stats.finish_reason is FinishReason.CANCELLED
                assert event.stats.n_gen < 500
        assert text
        _, stats = await reply(engine, ask("hello", max_tokens=3, ignore_eos=True))
        assert stats.n_gen == 3

    run(kind, work)


def test_stop_ends_a_prompt_that_is_being_read(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        await engine.load(
            LoadSettings(slow_model, threads=1, n_ctx=4096, n_batch=64), lambda _: None
        )
        seen = 0
        async for event in engine.chat(ask("warm " * 700)):
            if isinstance(event, PrefillProgressed):
                seen = event.n_done
                if seen:
                    engine.cancel()
            elif isinstance(event, ReplyFinished):
                assert event.stats.finish_reason is FinishReason.CANCELLED
                assert seen < event.stats.n_prompt
                assert event.stats.n_gen == 0

    run(kind, work)


def test_a_load_can_be_cancelled(kind: Kind, slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        settings = LoadSettings(slow_model, threads=1, use_mmap=False)
        with pytest.raises(LoadCancelledError):
            await engine.load(settings, lambda _: engine.cancel())
        assert engine.status.state is EngineState.EMPTY
        loaded = await engine.load(settings, lambda _: None)
        assert engine.status.model == loaded

    run(kind, work)


def test_one_thing_at_a_time(kind: Kind, model: Path) -> None:
    async def work(engine: Engine) -> None:
        first = asyncio.create_task(engine.load(LoadSettings(model, threads=1), lambda _: None))
        await asyncio.sleep(0)
        with pytest.raises(EngineError, match="being loaded"):
            await engine.load(LoadSettings(model, threads=1), lambda _: None)
        await first
        await engine.unload()
        with pytest.raises(EngineError, match="No model is loaded"):
            await reply(engine, ask("hello"))

    run(kind, work)


def test_a_bad_file_is_a_sentence_and_the_engine_goes_on(
    kind: Kind, model: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:-50_000])

    async def work(engine: Engine) -> None:
        with pytest.raises(EngineError, match=r"cut\.gguf"):
            await engine.load(LoadSettings(cut), lambda _: None)
        with pytest.raises(EngineError, match="does not exist"):
            await engine.load(LoadSettings(tmp_path / "none.gguf"), lambda _: None)
        with pytest.raises(EngineError, match="needs flash attention"):
            await engine.load(
                LoadSettings(model, threads=1, type_v="q8_0", flash_attn="off"), lambda _: None
            )
        await engine.load(LoadSettings(model, threads=1), lambda _: None)

    run(kind, work)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_the_engines_death_is_told_and_costs_only_the_model(
    slow_model: Path, number: signal.Signals
) -> None:
    async def work(engine: ProcessEngine) -> None:
        await engine.load(LoadSettings(slow_model, threads=1), lambda _: None)
        text = ""
        with pytest.raises(EngineDiedError, match=number.name):  # noqa: PT012 - it dies in there
            async for event in engine.chat(ask("hello", ignore_eos=True)):
                if isinstance(event, TextGenerated):
                    text += event.text
                    assert engine.pid is not None
                    os.kill(engine.pid, number)
        assert text
        assert engine.status.state is EngineState.STOPPED
        assert number.name in (engine.status.problem or "")
        await engine.load(LoadSettings(slow_model, threads=1), lambda _: None)
        assert engine.status.problem is None

    run(ProcessEngine, work)


def test_the_engine_ends_when_its_panel_is_killed(model: Path) -> None:
    code = (
        "import asyncio, sys, time\nfrom pathlib import Path\n"
        "from rigpanel.engine.process_engine import ProcessEngine\n"
        "from rigpanel.fit.load_settings import LoadSettings\n"
        "async def main():\n"
        " e = ProcessEngine()\n"
        f" await e.load(LoadSettings(Path({str(model)!r})), lambda f: None)\n"
        " print(e.pid, flush=True)\n"
        " await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    panel = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert panel.stdout is not None
    engine = int(panel.stdout.readline())
    panel.kill()
    panel.wait()
    panel.stdout.close()
    end = time.monotonic() + 5
    while Path(f"/proc/{engine}/exe").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{engine}/exe").exists()


def test_the_process_engine_does_not_bring_llama_cpp_into_the_panel() -> None:
    code = (
        "import sys, rigpanel.engine.process_engine\n"
        "assert not {'llama_cpp', 'PySide6'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
