# SPDX-License-Identifier: MIT
"""Models split over devices that two real RPC servers lend, and servers that are none."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.devices import Device, DeviceKind, in_order_of_servers
from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    EngineDiedError,
    EngineError,
    EngineState,
    EngineStatus,
    LoadedModel,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.answering import answering, silent
from tests.engine.driving import ask, quiet, reply, run
from tests.engine.lenders import Lender, lending

GREEDY = {"temperature": 0.0, "max_tokens": 24, "ignore_eos": True}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return write_demo_model(folder / "tiny.gguf", DemoShape(exact=True))


@pytest.fixture(scope="module")
def lenders() -> Iterator[list[Lender]]:
    with lending(2) as two:
        yield two


@pytest.fixture(scope="module")
def servers(lenders: list[Lender]) -> tuple[str, ...]:
    return tuple(lender.address for lender in lenders)


def over(model: Path, servers: tuple[str, ...], **changes: Any) -> LoadSettings:
    return LoadSettings(model, n_ctx=512, threads=1, rpc_servers=servers, **changes)


def parts(loaded: LoadedModel) -> dict[str, tuple[float, int | None]]:
    return {use.device: (use.weights_mib, use.layers) for use in loaded.devices}


def test_each_server_is_a_device_with_its_memory_and_address(servers: tuple[str, ...]) -> None:
    async def work(engine: Engine) -> None:
        own = await engine.devices()
        assert [device.name for device in own if device.kind is DeviceKind.CPU] == ["CPU"]
        assert not [device for device in own if device.kind is DeviceKind.RPC]
        found = await engine.devices((servers[1], servers[0]))
        lent = [device for device in found if device.kind is DeviceKind.RPC]
        assert [(d.name, d.address) for d in lent] == [("RPC0", servers[1]), ("RPC1", servers[0])]
        assert all(0 < device.free_mib <= device.total_mib for device in found)
        assert engine.status.state is EngineState.STOPPED

    run(ProcessEngine, work)


def test_layer_and_tensor_split_run_on_two_devices_and_say_what_the_processor_says(
    model: Path, servers: tuple[str, ...]
) -> None:
    async def work(engine: Engine) -> None:
        alone = await engine.load(over(model, ()), quiet)
        expected, _ = await reply(engine, ask("hello", **GREEDY))
        (own,) = [use for use in alone.devices if use.weights_mib]
        assert (own.device, own.layers) == ("CPU", 5)

        by_layer = await engine.load(over(model, servers, tensor_split=(3.0, 2.0)), quiet)
        assert (await reply(engine, ask("hello", **GREEDY)))[0] == expected
        layers = parts(by_layer)
        assert [layers[name][1] for name in ("CPU", "RPC0", "RPC1")] == [0, 3, 2]
        assert sum(weights for weights, _ in layers.values()) == pytest.approx(
            by_layer.size_mib, abs=0.05
        )
        held = await engine.devices(servers)
        assert [device.name for device in held if device.kind is DeviceKind.RPC] == ["RPC0", "RPC1"]

        tensor = over(model, servers, split_mode=SplitMode.TENSOR)
        by_tensor = await engine.load(tensor, quiet)
        assert (await reply(engine, ask("hello", **GREEDY)))[0] == expected
        halves = parts(by_tensor)
        assert halves["RPC0"] == halves["RPC1"]
        assert halves["RPC0"][0] > 1.0
        assert sum(weights for weights, _ in halves.values()) == pytest.approx(
            by_tensor.size_mib, abs=0.05
        )

    run(ProcessEngine, work)


def test_some_layers_some_devices_and_none(model: Path, servers: tuple[str, ...]) -> None:
    async def work(engine: Engine) -> None:
        partly = parts(await engine.load(over(model, servers, n_gpu_layers=2), quiet))
        assert [partly[name][1] for name in ("CPU", "RPC0", "RPC1")] == [3, 1, 1]
        one = parts(await engine.load(over(model, servers, devices=("RPC1",)), quiet))
        assert one["RPC1"][1] == 5
        assert "RPC0" not in one
        none = parts(await engine.load(over(model, servers, devices=("CPU",)), quiet))
        assert none["CPU"][1] == 5
        with pytest.raises(EngineError, match=r"no device CUDA7; there are: .*CPU.*RPC0"):
            await engine.load(over(model, servers, devices=("CUDA7",)), quiet)
        with pytest.raises(EngineError, match="row does not work over RPC"):
            await engine.load(over(model, servers, split_mode=SplitMode.ROW), quiet)
        with pytest.raises(EngineError, match="3 shares for 2 devices"):
            await engine.load(over(model, servers, tensor_split=(1.0, 1.0, 1.0)), quiet)

    run(ProcessEngine, work)


def test_a_load_that_fails_leaves_its_servers_to_others(
    model: Path, servers: tuple[str, ...]
) -> None:
    async def work(engine: ProcessEngine) -> None:
        with pytest.raises(EngineError, match="row does not work over RPC"):
            await engine.load(over(model, servers, split_mode=SplitMode.ROW), quiet)
        assert engine.status.state is EngineState.EMPTY
        assert engine.pid is None
        other = ProcessEngine()
        try:
            await other.load(over(model, servers), quiet)
        finally:
            await other.stop()
        await engine.load(over(model, servers), quiet)

    run(ProcessEngine, work)


def test_a_server_lost_in_mid_reply_costs_the_model_and_is_named(model: Path) -> None:
    async def work(engine: Engine) -> None:
        with lending(2) as lenders:
            servers = tuple(lender.address for lender in lenders)
            await engine.load(over(model, servers), quiet)
            text = ""
            with pytest.raises(EngineDiedError, match=f"RPC server {servers[1]} does not"):  # noqa: PT012
                async for event in engine.chat(ask("hello", ignore_eos=True)):
                    if isinstance(event, TextGenerated):
                        text += event.text
                        lenders[1].process.kill()
            assert text
            assert engine.status.state is EngineState.STOPPED
            assert engine.status.settings == over(model, servers)
            with pytest.raises(EngineError, match=f"{servers[1]} cannot be reached"):
                await engine.load(over(model, servers), quiet)
            await engine.load(over(model, servers[:1]), quiet)
            assert (await reply(engine, ask("hello", **GREEDY)))[0]

    run(ProcessEngine, work)


def test_a_server_lost_in_mid_load_is_named(slow_model: Path) -> None:
    async def work(engine: Engine) -> None:
        with lending() as (lender,):

            def lose(fraction: float) -> None:
                if 0 < fraction < 1:
                    lender.process.kill()

            with pytest.raises(EngineDiedError, match=f"RPC server {lender.address} does not"):
                await engine.load(over(slow_model, (lender.address,)), lose)

    run(ProcessEngine, work)


def test_a_server_that_stands_still_is_not_waited_for(model: Path) -> None:
    async def work(engine: Engine) -> None:
        with lending() as (lender,):
            await engine.load(over(model, (lender.address,)), quiet)
            with pytest.raises(EngineDiedError, match=f"did not stop.*{lender.address}"):  # noqa: PT012
                async for event in engine.chat(ask("hello", ignore_eos=True)):
                    if isinstance(event, TextGenerated):
                        os.kill(lender.process.pid, signal.SIGSTOP)
                        asyncio.get_running_loop().call_later(0.5, engine.cancel)
            assert engine.status.settings == over(model, (lender.address,))

    run(lambda: ProcessEngine(cancel_limit_s=1.0), work)


def test_quitting_does_not_wait_for_a_server_that_stands_still(model: Path) -> None:
    async def work(engine: ProcessEngine) -> None:
        with lending() as (lender,):
            await engine.load(over(model, (lender.address,)), quiet)
            os.kill(lender.process.pid, signal.SIGSTOP)

            async def listen() -> None:
                async for _ in engine.chat(ask("hello", ignore_eos=True)):
                    pass

            listening = asyncio.create_task(listen())
            child = engine._child
            assert child is not None
            asyncio.get_running_loop().call_later(0.5, engine.cancel)
            await asyncio.wait_for(child.ended.wait(), 30)  # Killed; now the server is asked.
            await asyncio.wait_for(engine.stop(), 10)
            with pytest.raises(EngineDiedError):
                await listening
            assert engine.status == EngineStatus(EngineState.STOPPED)

    run(lambda: ProcessEngine(cancel_limit_s=0.5), work)


def test_devices_can_be_asked_for_while_a_load_meets_the_same_server(
    model: Path, servers: tuple[str, ...]
) -> None:
    async def work(engine: Engine) -> None:
        load = asyncio.create_task(engine.load(over(model, servers), quiet))
        found = await engine.devices(servers)
        assert sum(device.kind is DeviceKind.RPC for device in found) == 2
        await load
        both = await asyncio.gather(engine.devices(servers), engine.devices())
        assert [device.name for device in both[0]] == [device.name for device in found]
        await engine.unload()
        asking = asyncio.create_task(engine.devices(servers))
        await asyncio.sleep(0)
        await engine.load(over(model, servers), quiet)
        assert len(await asking) == len(found)

    run(ProcessEngine, work)


def http(connection: socket.socket) -> None:
    connection.recv(64)
    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def of_another_version(connection: socket.socket) -> None:
    connection.recv(64)
    connection.sendall((28).to_bytes(8, "little") + bytes([99, 1, 2]) + bytes(25))
    connection.recv(64)


def that_closes(connection: socket.socket) -> None:
    del connection


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (http, "no llama.cpp RPC server"),
        (that_closes, "no llama.cpp RPC server"),
        (silent, "does not answer"),
        (of_another_version, r"version 99\.1\.2 of the protocol"),
    ],
)
def test_what_is_no_server_of_ours_is_told_with_its_address(
    model: Path, how: Callable[[socket.socket], None], says: str
) -> None:
    async def work(engine: Engine) -> None:
        with answering(how) as address:
            started = time.monotonic()
            with pytest.raises(EngineError, match=says) as told:
                await engine.devices((address,))
            assert address in str(told.value)
            if how is not silent:  # Whose limit need not pass twice.
                with pytest.raises(EngineError, match=says) as told:
                    await engine.load(over(model, (address,)), quiet)
                assert address in str(told.value)
            assert time.monotonic() - started < 30
        await engine.load(over(model, ()), quiet)

    run(ProcessEngine, work)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "cannot be reached: Connection refused"),
        ("no-such-machine.invalid:50052", "no machine of that name"),
        ("10.0.0.2", "no address; write HOST:PORT"),
        ("10.0.0.2:port", "no address"),
        ("10.0.0.2:70000", "at most 65535"),
        ("10.0.0.2:0", "at least 1"),
        ("[::1]:50052", "IPv4 only"),
        ("a b:1", "no address"),
    ],
)
def test_an_address_that_cannot_be_is_a_sentence(model: Path, address: str, says: str) -> None:
    async def work(engine: Engine) -> None:
        with pytest.raises(EngineError, match=says):
            await engine.load(over(model, (address,)), quiet)

    run(ProcessEngine, work)


def test_inside_the_panel_own_devices_are_listed_and_servers_refused(model: Path) -> None:
    async def work(engine: Engine) -> None:
        assert any(device.kind is DeviceKind.CPU for device in await engine.devices())
        with pytest.raises(EngineError, match="process of its own"):
            await engine.load(over(model, ("127.0.0.1:50052",)), quiet)
        with pytest.raises(EngineError, match="process of its own"):
            await engine.devices(("127.0.0.1:50052",))
        await engine.load(over(model, ()), quiet)
        assert any(device.kind is DeviceKind.CPU for device in await engine.devices())

    run(ThreadEngine, work)


def test_servers_named_twice_or_with_several_devices_keep_their_order() -> None:
    def device(name: str, kind: DeviceKind, address: str = "") -> Device:
        return Device(name, "", kind, 1.0, 1.0, address)

    found = (
        device("CUDA0", DeviceKind.GPU),
        device("RPC0", DeviceKind.RPC, "a:1"),
        device("RPC1", DeviceKind.RPC, "a:1"),
        device("RPC0", DeviceKind.RPC, "b:1"),
    )
    ordered = in_order_of_servers(found, ("b:1", "a:1", "b:1"))
    assert [(d.name, d.address) for d in ordered] == [
        ("CUDA0", ""),
        ("RPC0", "b:1"),
        ("RPC1", "a:1"),
        ("RPC2", "a:1"),
    ]
