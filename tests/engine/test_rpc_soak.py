# SPDX-License-Identifier: MIT
"""Many loads over the same two lenders, ended in every way: none hangs, and they lend on."""

import asyncio
import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from rigpanel.engine.dry_run import dry_run
from rigpanel.engine.messages import EngineDiedError, LoadCancelledError, TextGenerated
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from tests.engine.driving import ask, reply, run
from tests.engine.lenders import lending

ROUNDS = 300
ENDS = ("reply", "dry run", "unload", "cancel load", "cancel reply", "kill load", "kill reply")
SIGNALS = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM)
ROUND_S = 60.0


async def one_round(engine: ProcessEngine, settings: LoadSettings, end: str) -> None:
    """Load, reply, and end it in this way, wherever that comes."""
    if end == "dry run":
        assert await asyncio.to_thread(dry_run, replace(settings, split_mode=SplitMode.LAYER))
        return
    try:
        await load_and_reply(engine, settings, end)
    except LoadCancelledError:
        assert end == "cancel load"
    except EngineDiedError:
        if not end.startswith("kill"):
            raise


async def load_and_reply(engine: ProcessEngine, settings: LoadSettings, end: str) -> None:
    def interfere(*, loading: bool) -> None:
        what, _, where = end.partition(" ")
        if where == ("load" if loading else "reply") and engine.pid is not None:
            if what == "cancel":
                engine.cancel()
            else:
                os.kill(engine.pid, random.choice(SIGNALS))  # noqa: S311

    await engine.load(settings, lambda part: interfere(loading=True) if part > 0 else None)
    if end == "unload":
        await engine.unload()
        return
    async for event in engine.chat(ask("hello", max_tokens=20, ignore_eos=True)):
        if isinstance(event, TextGenerated):
            interfere(loading=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_lenders_outlive_three_hundred_loads(model: Path, slow_model: Path) -> None:
    random.seed(3)

    async def work(engine: ProcessEngine) -> None:
        with lending(2) as lenders:
            servers = tuple(lender.address for lender in lenders)
            for _ in range(ROUNDS):
                end = random.choice(ENDS)  # noqa: S311
                settings = LoadSettings(
                    slow_model if end.endswith(" load") else model,
                    n_ctx=512,
                    threads=1,
                    rpc_servers=servers,
                    split_mode=random.choice((SplitMode.LAYER, SplitMode.TENSOR)),  # noqa: S311
                )
                await engine.unload()  # What a reply left in memory would keep the servers busy.
                await asyncio.wait_for(one_round(engine, settings, end), ROUND_S)
            assert [lender.process.poll() for lender in lenders] == [None, None]
            await engine.load(settings, lambda _: None)
            assert (await reply(engine, ask("hello", max_tokens=4, ignore_eos=True)))[1].n_gen == 4

    run(ProcessEngine, work)
