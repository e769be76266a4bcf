# SPDX-License-Identifier: MIT
"""Bridges: what threads and coroutines produce, as signals to slots on the Qt thread."""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from rigpanel.engine.devices import Device
from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    ChatRequest,
    ContextNearlyFull,
    EngineStatus,
    LoadCancelledError,
    PrefillProgressed,
    ReplyFinished,
    ReplyStats,
    TextGenerated,
    TurnsDropped,
)
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.watch.phases import PhaseKind, PhaseLog
from rigpanel.watch.tick import Tick

FRAME_MS = 25
"""Text goes to the window at most 40 times a second, and the first of it at once."""

log = logging.getLogger(__name__)


class WatchBridge(QObject):
    """The sampler thread's ticks as a Qt signal."""

    tick_ready = Signal(object)
    """A `watch.tick.Tick`; connected slots of QObjects get it on the Qt thread."""
    reading_wanted = Signal()
    """Somebody needs a reading now, not at the next beat; it comes as a tick like any other."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._held: list[Tick] | None = None

    def on_tick(self, tick: Tick) -> None:
        """Take a tick on whatever thread read it."""
        with self._lock:
            if self._held is not None:
                self._held.append(tick)
                return
        self.tick_ready.emit(tick)

    def hold(self) -> None:
        """Keep ticks back: the charts they bring up would delay the first frame."""
        self._held = []

    @Slot()
    def release(self) -> None:
        """Give out what was kept back, and from now on each tick as it comes."""
        with self._lock:
            held, self._held = self._held or [], None
        for tick in held:
            self.tick_ready.emit(tick)


class EngineBridge(QObject):
    """The engine's coroutines as slots, and what they bring as signals."""

    status_changed = Signal(object)
    """An `EngineStatus`."""
    load_progressed = Signal(float)
    """0 to 1."""
    model_loaded = Signal(object)
    """A `LoadedModel`."""
    load_failed = Signal(str)
    load_cancelled = Signal()
    prefill_progressed = Signal(object)
    """A `PrefillProgressed`."""
    context_told = Signal(object)
    """A `TurnsDropped` or a `ContextNearlyFull`."""
    text_ready = Signal(object)
    """A `TextGenerated`: text since the last signal, all of it answer or all of it reasoning."""
    reply_finished = Signal(object)
    """A `ReplyStats`; every text came before it."""
    reply_failed = Signal(str)
    devices_listed = Signal(object)
    """A tuple of `engine.devices.Device`."""
    devices_failed = Signal(str)

    def __init__(self, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()
        self._text: list[TextGenerated] = []
        self._shown_s = 0.0
        self._replying = False
        self._listing = 0
        self._closing = False
        self.phases = PhaseLog()
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.setTimerType(Qt.TimerType.PreciseTimer)
        self._frame.timeout.connect(self._flush)
        engine.add_listener(self.status_changed.emit)

    @property
    def status(self) -> EngineStatus:
        """What the engine is doing now."""
        return self._engine.status

    @property
    def pid(self) -> int | None:
        """Process that holds the model's memory, while there is one."""
        return self._engine.pid

    @Slot(object)
    def load(self, settings: LoadSettings) -> None:
        """Load a model; progress and outcome come as signals."""
        self._run(self._load(settings))

    @Slot(object)
    def send(self, request: ChatRequest) -> None:
        """Generate a reply; its text and outcome come as signals. One at a time."""
        if self._replying:
            log.warning("a message was sent while a reply was under way; it was not passed on")
            return
        self._replying = True
        self._run(self._send(request))

    @Slot()
    def cancel(self) -> None:
        """Stop the load or reply under way."""
        self._engine.cancel()

    @Slot()
    def unload(self) -> None:
        """Give the model's memory back."""
        self._run(self._unload())

    @Slot(object)
    def list_devices(self, rpc_servers: tuple[str, ...]) -> None:
        """Ask for the devices here and on RPC servers; only the last asking is answered."""
        self._run(self._list_devices(rpc_servers))

    async def shutdown(self) -> None:
        """Take no more work, end the engine, then wait for what was waiting on it."""
        self._closing = True
        try:
            await self._engine.stop()
        except RigpanelError as error:
            log.warning("%s", error)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._frame.stop()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closing:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self, settings: LoadSettings) -> None:
        try:
            model = await self._engine.load(settings, self.load_progressed.emit)
        except LoadCancelledError:
            self.load_cancelled.emit()
        except RigpanelError as error:
            self.load_failed.emit(str(error))
        except Exception as error:
            log.exception("a load failed unexpectedly")
            self.load_failed.emit(f"The load failed unexpectedly: {error!r}.")
        else:
            self.model_loaded.emit(model)

    async def _send(self, request: ChatRequest) -> None:
        stats: ReplyStats | None = None
        problem = "The reply ended without a word."
        writing = False
        self.phases.begin(PhaseKind.PREFILL, time.monotonic())
        try:
            async for event in self._engine.chat(request):
                if isinstance(event, TextGenerated):
                    if not writing:
                        self.phases.begin(PhaseKind.DECODE, time.monotonic())
                    writing = True
                    self._show_soon(event)
                elif isinstance(event, PrefillProgressed):
                    self.prefill_progressed.emit(event)
                elif isinstance(event, (TurnsDropped, ContextNearlyFull)):
                    self._flush()
                    self.context_told.emit(event)
                elif isinstance(event, ReplyFinished):
                    stats = event.stats
        except RigpanelError as error:
            problem = str(error)
        except Exception as error:
            log.exception("a reply failed unexpectedly")
            problem = f"The reply failed unexpectedly: {error!r}."
        self.phases.end(time.monotonic())
        self._frame.stop()
        self._flush()
        self._replying = False
        if stats is not None:
            self.reply_finished.emit(stats)
        else:
            self.reply_failed.emit(problem)

    async def _unload(self) -> None:
        try:
            await self._engine.unload()
        except RigpanelError as error:
            self.load_failed.emit(str(error))

    async def _list_devices(self, rpc_servers: tuple[str, ...]) -> None:
        self._listing += 1
        mine = self._listing
        devices: tuple[Device, ...] = ()
        problem = ""
        try:
            devices = await self._engine.devices(rpc_servers)
        except RigpanelError as error:
            problem = str(error)
        except Exception as error:
            log.exception("the devices could not be listed")
            problem = f"The devices could not be listed: {error!r}."
        if mine != self._listing:
            return  # Other servers were asked for meanwhile.
        if problem:
            self.devices_failed.emit(problem)
        else:
            self.devices_listed.emit(devices)

    def _show_soon(self, event: TextGenerated) -> None:
        before = self._text[-1] if self._text else None
        if before is not None and before.reasoning == event.reasoning:
            whole = before.text + event.text
            self._text[-1] = TextGenerated(whole, event.n_gen, event.reasoning)
        else:
            self._text.append(event)
        if not self._frame.isActive():
            since_ms = (time.monotonic() - self._shown_s) * 1000
            self._frame.start(max(0, round(FRAME_MS - since_ms)))

    @Slot()
    def _flush(self) -> None:
        self._shown_s = time.monotonic()
        text, self._text = self._text, []
        for piece in text:
            self.text_ready.emit(piece)
