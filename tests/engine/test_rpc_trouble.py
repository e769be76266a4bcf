# SPDX-License-Identifier: MIT
"""RPC servers that are busy, silent, cut off or talk nonsense: told by name, never waited for."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rigpanel.engine import probe, rpc_peer
from rigpanel.engine.dry_run import dry_run
from rigpanel.engine.messages import (
    EngineDiedError,
    EngineError,
    EngineState,
    LoadCancelledError,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.rpc_peer import greet
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from tests.engine.answering import answering, silent
from tests.engine.driving import ask, quiet, reply, run
from tests.engine.lenders import Lender, lending
from tests.engine.relay import EVERYTHING, HELLO_ANSWER, relaying

A_LITTLE = {"temperature": 0.0, "max_tokens": 4, "ignore_eos": True}


@pytest.fixture(scope="module")
def lender() -> Iterator[Lender]:
    with lending() as (one,):
        yield one


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a moment only where a server is greeted from here."""
    monkeypatch.setattr(rpc_peer, "ANSWER_S", 0.3)
    monkeypatch.setattr(rpc_peer, "CONNECT_S", 0.3)


def over(model: Path, *servers: str, **changes: Any) -> LoadSettings:
    return LoadSettings(model, n_ctx=512, threads=1, rpc_servers=servers, **changes)


def hello_only(number: int) -> float:
    """Answer the greeting; of the connection after it, hello and no more; then nobody."""
    return (EVERYTHING, HELLO_ANSWER)[number] if number < 2 else 0


def test_an_answer_that_drips_is_no_answer(impatient: None) -> None:
    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"\x1c")
            time.sleep(0.05)

    with answering(drip) as address:
        started = time.monotonic()
        with pytest.raises(EngineError, match=f"{address} does not answer"):
            greet(address)
        assert time.monotonic() - started < 20  # 4096 of them would take minutes.


def test_a_server_that_falls_silent_after_hello_is_not_waited_for_in_a_load(
    model: Path, lender: Lender
) -> None:
    async def work(engine: ProcessEngine) -> None:
        engine._watchdog.meet_limit_s = 2.0
        with relaying(lender.address, hello_only) as relay:
            with pytest.raises(EngineDiedError, match="no sign of life") as told:
                await engine.load(over(model, relay.address), quiet)
            assert f"RPC server {relay.address} does not answer" in str(told.value)
        await engine.load(over(model, lender.address), quiet)

    run(ProcessEngine, work)


def test_nor_where_the_devices_are_listed(
    lender: Lender, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr(probe, "LIMIT_S", 3.0)

    async def work(engine: ProcessEngine) -> None:
        with relaying(lender.address, hello_only) as relay:
            with pytest.raises(EngineError, match="within 3 s") as told:
                await engine.devices((relay.address,))
            assert f"RPC server {relay.address} does not answer" in str(told.value)
        assert await engine.devices((lender.address,))

    run(ProcessEngine, work)


def test_nor_in_a_dry_run(model: Path, lender: Lender, impatient: None) -> None:
    with relaying(lender.address, hello_only) as relay:
        with pytest.raises(EngineError, match="within 4 s") as told:
            dry_run(over(model, relay.address), timeout_s=4.0)
        assert f"RPC server {relay.address} does not answer" in str(told.value)
    assert dry_run(over(model, lender.address)).devices


def test_a_dry_run_whose_asker_has_died_ends_by_itself(model: Path, lender: Lender) -> None:
    asking = (
        "import pathlib, sys; from rigpanel.engine.dry_run import dry_run; "
        "from rigpanel.fit.load_settings import LoadSettings; "
        "dry_run(LoadSettings(pathlib.Path(sys.argv[1]), rpc_servers=(sys.argv[2],)), 3.0)"
    )
    with relaying(lender.address, hello_only) as relay:
        asker = subprocess.Popen([sys.executable, "-c", asking, str(model), relay.address])
        until(lambda: relay.connections > 1)
        (child,) = psutil.Process(asker.pid).children()
        asker.kill()
        asker.wait()
        _, alive = psutil.wait_procs([child], timeout=30)
        assert not alive
    greet(lender.address)


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("split", [SplitMode.LAYER, SplitMode.TENSOR])
def test_a_cable_that_is_cut_in_a_reply_costs_the_model_and_is_named(
    model: Path, lender: Lender, split: SplitMode, impatient: None
) -> None:
    async def work(engine: ProcessEngine) -> None:
        with relaying(lender.address) as relay:
            await engine.load(over(model, relay.address, split_mode=split), quiet)
            engine._watchdog.hang_limit_s = 1.0
            with pytest.raises(EngineDiedError) as told:  # noqa: PT012
                async for event in engine.chat(ask("hello", ignore_eos=True)):
                    relay.cut = isinstance(event, TextGenerated)
            assert "showed no sign of life" in str(told.value)
            assert f"RPC server {relay.address} does not answer" in str(told.value)
        engine._watchdog.hang_limit_s = 60.0
        await engine.load(over(model, lender.address), quiet)

    run(ProcessEngine, work)


def test_nonsense_after_hello_is_told_with_the_servers_name(model: Path, lender: Lender) -> None:
    def babble(connection: socket.socket) -> None:
        connection.recv(64)
        connection.sendall(hello)
        if connection.recv(64):
            connection.sendall(b"\xa5" * 64)

    with socket.create_connection(tuple_of(lender.address)) as asking:
        asking.sendall(rpc_peer._HELLO)
        hello = asking.recv(HELLO_ANSWER, socket.MSG_WAITALL)

    async def work(engine: ProcessEngine) -> None:
        with answering(babble) as address:
            says = f"RPC server {address} broke off the connection or answered nonsense"
            with pytest.raises(EngineDiedError, match=says):
                await engine.load(over(model, address), quiet)
            with pytest.raises(EngineError, match=says):
                await engine.devices((address,))
            with pytest.raises(EngineError, match=says):
                await asyncio.to_thread(dry_run, over(model, address))

    run(ProcessEngine, work)


def tuple_of(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def test_a_server_in_use_is_refused_and_free_again_after_that(model: Path, lender: Lender) -> None:
    async def work(engine: ProcessEngine) -> None:
        other = ProcessEngine()
        try:
            await other.load(over(model, lender.address), quiet)
            with pytest.raises(EngineError, match="in use by another panel"):
                await engine.load(over(model, lender.address), quiet)
            assert engine.status.state is EngineState.EMPTY
        finally:
            await other.stop()
        await engine.load(over(model, lender.address), quiet)

    run(ProcessEngine, work)


def test_a_load_is_one_client_and_lets_no_other_come_between(model: Path, lender: Lender) -> None:
    """Once greeted, it stays connected to each server: what it begins it can go on with."""

    async def work(engine: ProcessEngine) -> None:
        with relaying(lender.address) as relay:
            await engine.load(over(model, relay.address), quiet)
            assert relay.connections == 3  # Greeted, asked how many devices, loaded.

    run(ProcessEngine, work)


def test_two_panels_that_want_both_servers_do_not_wait_for_each_other(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        other = ProcessEngine()
        with lending(2) as lenders:
            one, two = (lender.address for lender in lenders)
            try:
                ends = await asyncio.gather(
                    engine.load(over(model, one, two), quiet),
                    other.load(over(model, two, one), quiet),
                    return_exceptions=True,
                )
                for end in ends:
                    assert not isinstance(end, BaseException) or "in use by another" in str(end)
                await engine.unload()
                await other.unload()
                await other.load(over(model, two, one), quiet)
                assert (await reply(other, ask("hello", **A_LITTLE)))[1].n_gen == 4
            finally:
                await other.stop()

    run(ProcessEngine, work)


def test_a_load_that_waits_for_a_listing_can_be_cancelled(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        with answering(silent) as address:
            asking = asyncio.create_task(engine.devices((address,)))
            await asyncio.sleep(0.1)
            load = asyncio.create_task(engine.load(over(model, address), quiet))
            await asyncio.sleep(0.1)
            engine.cancel()
            with pytest.raises(LoadCancelledError):
                await load
            assert not asking.done()
            with pytest.raises(EngineError, match="does not answer"):
                await asking

    run(ProcessEngine, work)


def test_a_listing_that_waits_for_a_load_goes_on_when_that_is_cancelled_before_it_began(
    model: Path, lender: Lender
) -> None:
    async def work(engine: ProcessEngine) -> None:
        load = asyncio.create_task(engine.load(over(model, lender.address), quiet))
        asking = asyncio.create_task(engine.devices((lender.address,)))
        await asyncio.sleep(0)
        engine.cancel()
        with pytest.raises(LoadCancelledError):
            await load
        assert await asyncio.wait_for(asking, 30)

    run(ProcessEngine, work)


def test_quitting_does_not_wait_for_a_listing(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        with answering(silent) as address:
            asking = asyncio.create_task(engine.devices((address,)))
            load = asyncio.create_task(engine.load(over(model, address), quiet))
            await asyncio.sleep(0.1)
            await engine.stop()
            with pytest.raises(EngineError, match="was stopped"):
                await asking
            with pytest.raises(EngineError):
                await load

    run(ProcessEngine, work)


@pytest.mark.parametrize(
    ("end", "loading"),
    [
        (signal.SIGKILL, True),
        (signal.SIGABRT, True),
        (signal.SIGSEGV, False),
        (signal.SIGBUS, False),
        (signal.SIGTERM, False),
    ],
)
def test_however_the_engine_ends_its_servers_are_free_for_the_next_load(
    model: Path, slow_model: Path, lender: Lender, end: signal.Signals, loading: bool
) -> None:
    async def work(engine: ProcessEngine) -> None:
        def end_it(fraction: float = 1.0) -> None:
            if fraction > 0 and engine.pid is not None:
                os.kill(engine.pid, end)

        with pytest.raises(EngineDiedError, match=end.name):  # noqa: PT012
            if loading:
                await engine.load(over(slow_model, lender.address), end_it)
            await engine.load(over(model, lender.address), quiet)
            async for event in engine.chat(ask("hello", ignore_eos=True)):
                if isinstance(event, TextGenerated):
                    end_it()
        await engine.load(over(model, lender.address), quiet)
        assert (await reply(engine, ask("hello", **A_LITTLE)))[1].n_gen == 4

    run(ProcessEngine, work)
