# SPDX-License-Identifier: MIT
"""Bridges: everything arrives on the Qt thread, in order, and every failure as a sentence."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject, QThread, SignalInstance, Slot
from PySide6.QtWidgets import QApplication

from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineState,
    EngineStatus,
    LoadedModel,
    ReplyEvent,
    ReplyStats,
    Sampling,
    TextGenerated,
)
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import write_demo_model
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.watch.alerts import AlertBook
from rigpanel.watch.phases import PhaseKind
from rigpanel.watch.sampler import Sampler
from rigpanel.watch.tick import Tick
from tests.ui.conftest import Run
from tests.ui.window_fixtures import ScriptedEngine, snapshot, tick

HELLO = ChatRequest((ChatMessage("user", "Hello"),), Sampling(seed=1, max_tokens=40))


class Broken(Engine):
    """An engine whose every answer is the failure it is given."""

    status = EngineStatus(EngineState.READY)

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.stopped = False

    def add_listener(self, listener: Callable[[EngineStatus], None]) -> None: ...

    async def load(
        self, settings: LoadSettings, on_progress: Callable[[float], None]
    ) -> LoadedModel:
        del settings, on_progress
        raise self.failure

    async def chat(self, request: ChatRequest) -> AsyncIterator[ReplyEvent]:
        del request
        yield TextGenerated("Half a ", 2)
        raise self.failure

    async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
        del rpc_servers
        raise self.failure

    def cancel(self) -> None: ...

    async def unload(self) -> None:
        raise self.failure

    async def stop(self) -> None:
        self.stopped = True


async def heard(signal: SignalInstance, act: Callable[[], None]) -> Any:
    """Do `act` and return what `signal` then brings."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def take(*values: object) -> None:
        if not answer.done():
            answer.set_result(values[0] if values else None)

    signal.connect(take)
    act()
    brought = await answer
    signal.disconnect(take)
    return brought


@pytest.mark.parametrize("failure", [EngineError("No room on GPU 1."), ValueError("odd")])
def test_a_failed_load_is_a_sentence(run: Run, failure: Exception) -> None:
    async def work() -> None:
        bridge = EngineBridge(Broken(failure))
        said = await heard(bridge.load_failed, lambda: bridge.load(LoadSettings(Path("x.gguf"))))
        assert str(failure) in said
        assert said.endswith(".")

    run(work())


@pytest.mark.parametrize("failure", [EngineError("The engine died."), ValueError("odd")])
def test_a_failed_reply_gives_its_text_then_the_sentence(run: Run, failure: Exception) -> None:
    async def work() -> None:
        bridge = EngineBridge(Broken(failure))
        order: list[str] = []
        bridge.text_ready.connect(lambda piece: order.append(piece.text))
        bridge.reply_failed.connect(order.append)
        await heard(bridge.reply_failed, lambda: bridge.send(HELLO))
        assert order[0] == "Half a "
        assert str(failure) in order[1]
        (last,) = bridge.phases.since(0.0)[-1:]
        assert last.end_s is not None

    run(work())


@pytest.mark.parametrize("failure", [EngineError("10.0.0.2:1 is silent."), ValueError("odd")])
def test_devices_that_cannot_be_listed_are_a_sentence(run: Run, failure: Exception) -> None:
    async def work() -> None:
        bridge = EngineBridge(Broken(failure))
        said = await heard(bridge.devices_failed, lambda: bridge.list_devices(()))
        assert str(failure) in said
        assert said.endswith(".")

    run(work())


def test_of_several_listings_under_way_the_last_is_answered(run: Run) -> None:
    class Slow(ScriptedEngine):
        """Answers the first asking after the second."""

        async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
            if not rpc_servers:
                await later.wait()
            return (Device("CPU", str(rpc_servers), DeviceKind.CPU, 1.0, 1.0),)

    later = asyncio.Event()

    async def work() -> None:
        bridge = EngineBridge(Slow())
        answers: list[tuple[Device, ...]] = []
        bridge.devices_listed.connect(answers.append)
        bridge.list_devices(())
        await heard(bridge.devices_listed, lambda: bridge.list_devices(("10.0.0.2:1",)))
        later.set()
        await bridge.shutdown()
        assert [device.description for (device,) in answers] == ["('10.0.0.2:1',)"]

    run(work())


def test_a_real_reply_streams_in_frames_and_shades_its_phases(run: Run, tmp_path: Path) -> None:
    model = write_demo_model(tmp_path / "tiny.gguf")

    async def work() -> None:
        bridge = EngineBridge(ThreadEngine())
        progress: list[float] = []
        states: list[EngineState] = []
        pieces: list[tuple[str, int]] = []
        bridge.load_progressed.connect(progress.append)
        bridge.status_changed.connect(lambda status: states.append(status.state))
        bridge.text_ready.connect(lambda piece: pieces.append((piece.text, piece.n_gen)))
        settings = LoadSettings(model, n_ctx=512, n_gpu_layers=0)
        loaded = await heard(bridge.model_loaded, lambda: bridge.load(settings))
        assert loaded.settings == settings
        assert progress == sorted(progress)
        stats: ReplyStats = await heard(bridge.reply_finished, lambda: bridge.send(HELLO))
        assert pieces[-1][1] == stats.n_gen
        assert "".join(text for text, _ in pieces)
        kinds = [phase.kind for phase in bridge.phases.since(0.0)]
        assert kinds == [PhaseKind.PREFILL, PhaseKind.DECODE]
        assert EngineState.GENERATING in states
        await bridge.shutdown()
        assert bridge.status.state is EngineState.STOPPED

    run(work())
    assert [t.name for t in threading.enumerate() if t.name != "MainThread"] == []


def test_a_second_message_does_not_disturb_the_reply(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_demo_model(tmp_path / "tiny.gguf")

    def send_twice(bridge: EngineBridge) -> None:
        bridge.send(HELLO)
        bridge.send(HELLO)

    async def work() -> None:
        bridge = EngineBridge(ThreadEngine())
        failed: list[str] = []
        bridge.reply_failed.connect(failed.append)
        settings = LoadSettings(model, n_ctx=512, n_gpu_layers=0)
        await heard(bridge.model_loaded, lambda: bridge.load(settings))
        await heard(bridge.reply_finished, lambda: send_twice(bridge))
        assert failed == []
        assert len(bridge.phases.since(0.0)) == 2
        await bridge.shutdown()

    run(work())
    assert "not passed on" in caplog.text


def test_nothing_is_taken_on_after_shutdown(run: Run) -> None:
    async def work() -> None:
        engine = Broken(EngineError("must not be asked"))
        bridge = EngineBridge(engine)
        failed: list[str] = []
        bridge.load_failed.connect(failed.append)
        await bridge.shutdown()
        bridge.load(LoadSettings(Path("x.gguf")))
        bridge.unload()
        await asyncio.sleep(0)
        assert engine.stopped
        assert failed == []

    run(work())


class Receiver(QObject):
    """Notes the thread that each tick arrives on."""

    def __init__(self, enough: asyncio.Event) -> None:
        super().__init__()
        self.enough = enough
        self.threads: list[QThread] = []

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        assert tick.snapshot.simulated
        self.threads.append(QThread.currentThread())
        if len(self.threads) == 3:
            self.enough.set()


def test_ticks_cross_from_the_sampler_to_the_qt_thread(run: Run, qapp: QApplication) -> None:
    async def work() -> None:
        bridge, receiver = WatchBridge(), Receiver(asyncio.Event())
        bridge.tick_ready.connect(receiver.take_tick)
        sampler = Sampler(SimulatedRig(), AlertBook(), 0.02, bridge.on_tick)
        sampler.start()
        await receiver.enough.wait()
        assert sampler.stop()
        assert set(receiver.threads) == {qapp.thread()}

    run(work())


def test_ticks_held_back_come_in_their_order_once_released(qapp: QApplication) -> None:
    bridge = WatchBridge()
    seen: list[float] = []
    bridge.tick_ready.connect(lambda tick: seen.append(tick.monotonic_s))
    bridge.hold()
    for second in (1.0, 2.0):
        bridge.on_tick(tick(snapshot(), at_s=second))
    assert seen == []
    bridge.release()
    bridge.on_tick(tick(snapshot(), at_s=3.0))
    bridge.release()
    assert seen == [1.0, 2.0, 3.0]
