# SPDX-License-Identifier: MIT
"""What the window's tests stand on: an engine that does as it is told, and hand-made ticks."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import qasync
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    ChatRequest,
    DeviceUse,
    EngineDiedError,
    EngineError,
    EngineState,
    EngineStatus,
    FinishReason,
    LoadCancelledError,
    LoadedModel,
    ReplyEvent,
    ReplyFinished,
    ReplyStats,
)
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.rig.readings import GpuSample, Missing, RigSnapshot
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.watch.alerts import Alert, Transition
from rigpanel.watch.tick import Tick

LOST: dict[str, Any] = {
    field.name: Missing.GPU_LOST
    for field in dataclasses.fields(GpuSample)
    if field.name not in {"index", "uuid", "name", "pci_bus_id"}
}
STATS = ReplyStats(
    finish_reason=FinishReason.STOP,
    n_prompt=2048,
    n_cached=512,
    n_gen=342,
    ttft_s=1.92,
    pp_tps=812.4,
    tg_tps=16.42,
    prefill_s=1.89,
    decode_s=20.8,
)


def loaded(settings: LoadSettings) -> LoadedModel:
    """Return what a load of a 70B model over two cards reports."""
    return LoadedModel(
        settings=settings,
        n_ctx=8192,
        name="Llama 3 70B Instruct",
        arch="llama",
        file_type="Q4_K_M",
        n_params=70_553_706_496,
        size_mib=40543.1,
        n_layer=80,
        n_ctx_train=131072,
        template="file",
        devices=(
            DeviceUse("CUDA0", 20039.0, 1312.0, 282.0, 41),
            DeviceUse("CUDA1", 19941.0, 0.0, 0.0),
        ),
        load_s=14.2,
    )


class ScriptedEngine(Engine):
    """An engine whose answers the test puts in a queue; it keeps what it was asked."""

    def __init__(self) -> None:
        self._status = EngineStatus(EngineState.STOPPED)
        self._listeners: list[Callable[[EngineStatus], None]] = []
        self.loads: list[LoadSettings] = []
        self.requests: list[ChatRequest] = []
        self.unloads = 0
        self.listings: list[tuple[str, ...]] = []
        """RPC servers that were asked, listing by listing."""
        self.listing: tuple[Device, ...] | EngineError = ()
        """What it says there is to load onto."""
        self.progress: asyncio.Queue[float | EngineError] = asyncio.Queue()
        """Progress of the load under way; 1.0 ends it, an error fails it."""
        self.events: asyncio.Queue[ReplyEvent | EngineError] = asyncio.Queue()
        """What the reply under way brings; ReplyFinished or an error ends it."""

    @property
    def status(self) -> EngineStatus:
        return self._status

    def put(self, status: EngineStatus) -> None:
        self._status = status
        for listener in self._listeners:
            listener(status)

    def make_ready(self) -> None:
        self.put(EngineStatus(EngineState.READY, loaded(LoadSettings(Path("/models/70b.gguf")))))

    def die(self, sentence: str) -> None:
        settings = None if self._status.model is None else self._status.model.settings
        self.put(EngineStatus(EngineState.STOPPED, None, sentence, ("last line",), settings))
        self.events.put_nowait(EngineDiedError(sentence))

    def add_listener(self, listener: Callable[[EngineStatus], None]) -> None:
        self._listeners.append(listener)

    async def load(
        self, settings: LoadSettings, on_progress: Callable[[float], None]
    ) -> LoadedModel:
        self.loads.append(settings)
        self.put(EngineStatus(EngineState.LOADING))
        while True:
            step = await self.progress.get()
            if isinstance(step, EngineError):
                self.put(EngineStatus(EngineState.EMPTY))
                raise step
            on_progress(step)
            if step == 1.0:
                model = loaded(settings)
                self.put(EngineStatus(EngineState.READY, model))
                return model

    async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
        self.listings.append(rpc_servers)
        if isinstance(self.listing, EngineError):
            raise self.listing
        return tuple(
            one
            for one in self.listing
            if one.kind is not DeviceKind.RPC or one.address in rpc_servers
        )

    async def chat(self, request: ChatRequest) -> AsyncIterator[ReplyEvent]:
        self.requests.append(request)
        model = self._status.model
        self.put(EngineStatus(EngineState.GENERATING, model))
        while True:
            event = await self.events.get()
            if isinstance(event, EngineError):
                if not isinstance(event, EngineDiedError):
                    self.put(EngineStatus(EngineState.READY, model))
                raise event
            if isinstance(event, ReplyFinished):
                self.put(EngineStatus(EngineState.READY, model))
            yield event
            if isinstance(event, ReplyFinished):
                return

    def cancel(self) -> None:
        if self._status.state is EngineState.LOADING:
            self.progress.put_nowait(LoadCancelledError("cancelled"))
        elif self._status.state is EngineState.GENERATING:
            stopped = dataclasses.replace(STATS, finish_reason=FinishReason.CANCELLED)
            self.events.put_nowait(ReplyFinished(stopped))

    async def unload(self) -> None:
        self.unloads += 1
        self.put(EngineStatus(EngineState.EMPTY))

    async def stop(self) -> None:
        self.put(EngineStatus(EngineState.STOPPED))


def play(app: QApplication, scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario on Qt's own loop, as the program does."""
    with qasync.QEventLoop(app) as loop:
        loop.run_until_complete(asyncio.wait_for(scenario, 30))
    asyncio.set_event_loop(None)


async def until(condition: Callable[[], bool], what: str, limit_s: float = 10.0) -> None:
    """Let events be handled until the condition holds."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain until {what}")
        await asyncio.sleep(0.01)


def snapshot(count: int = 2, **changed: Any) -> RigSnapshot:
    """Return a rig with so many cards; what is changed is changed on the last."""
    both = SimulatedRig(lambda: 100.0).read()
    cards = [
        dataclasses.replace(both.cards[place % 2], index=place, uuid=f"GPU-{place}")
        for place in range(count)
    ]
    if changed:
        cards[-1] = dataclasses.replace(cards[-1], **changed)
    return dataclasses.replace(both, gpus=tuple(cards))


def tick(
    rig: RigSnapshot,
    *transitions: Alert,
    standing: tuple[Alert, ...] = (),
    at_s: float = 100.0,
) -> Tick:
    """Return a tick that shows a rig."""
    return Tick(at_s, rig, tuple(Transition(alert) for alert in transitions), standing)


def words_in(widget: QWidget) -> str:
    """Return every visible label of a widget, a line each."""
    labels = widget.findChildren(QLabel)
    return "\n".join(label.text() for label in labels if not label.isHidden() and label.text())
