# SPDX-License-Identifier: MIT
"""The worker thread that owns llama-cpp-python; the same class in either kind of engine."""

import logging
import queue
import threading
import time
from collections.abc import Callable

from rigpanel.engine.batch import TextBatch
from rigpanel.engine.events import (
    Cancel,
    Chat,
    Command,
    DevicesListed,
    Event,
    Failed,
    ListDevices,
    Load,
    LoadProgressed,
    ModelLoaded,
    Quit,
    Unload,
    Unloaded,
)
from rigpanel.engine.llama import devices
from rigpanel.engine.llama.runtime import give_memory_back, prepare
from rigpanel.engine.llama.session import Session
from rigpanel.engine.messages import EngineError, LoadCancelledError
from rigpanel.errors import RigpanelError

PROGRESS_S = 0.03
WORK_S = 0.05
"""Processor time that is a sign of work; the heartbeat itself takes far less."""

log = logging.getLogger(__name__)


class EngineWorker:
    """Takes commands in order on a thread of its own; a cancel gets through at once."""

    def __init__(
        self, emit: Callable[[Event], None], echo: Callable[[str], None] | None = None
    ) -> None:
        """`emit` is called on the worker's thread; `echo` with each line llama.cpp logs."""
        self._send = emit
        self._echo = echo
        self._busy = False
        self._active_at = time.monotonic()
        self._on_cpu = True
        self._cpu_s = 0.0
        self._prepared = False
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._cancelled_up_to = -1
        self._stopping = threading.Event()
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._run, name="engine-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, command: Command) -> None:
        """Hand over a command from any thread."""
        if isinstance(command, Cancel):
            self._cancelled_up_to = max(self._cancelled_up_to, command.job)
            self._interrupt()
        elif isinstance(command, Quit):
            self._stopping.set()
            self._interrupt()
            self._commands.put(command)
        else:
            self._commands.put(command)

    def stop(self, timeout_s: float) -> bool:
        """Cancel what is under way and end the thread; says whether it ended in time."""
        self.post(Quit())
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    @property
    def idle_s(self) -> float | None:
        """How long the job under way has shown no sign of life; None when there is no job.

        Signs are events, and llama.cpp asking whether to go on; a slow piece on the processor
        shows none for minutes, so there it is one that the processor works. With a card or a
        server it is not: waiting for one that hangs can keep the processor busy too.
        """
        if not self._busy:
            return None
        now, cpu_s = time.monotonic(), time.process_time()
        if self._on_cpu and cpu_s - self._cpu_s > WORK_S:
            self._active_at, self._cpu_s = now, cpu_s
        return now - self._active_at

    def _emit(self, event: Event) -> None:
        self._active_at = time.monotonic()
        self._send(event)

    def _run(self) -> None:
        while not isinstance(command := self._commands.get(), Quit):
            self._active_at, self._busy = time.monotonic(), True
            try:
                self._obey(command)
            except LoadCancelledError as error:
                self._emit(Failed(str(error), cancelled=True))
            except RigpanelError as error:
                self._emit(Failed(str(error)))
            except Exception as error:
                log.exception("the engine's worker failed")
                self._emit(Failed(f"The engine failed unexpectedly: {error!r}."))
            self._busy = False
        self._unload()

    def _obey(self, command: Command) -> None:
        if not self._prepared:
            prepare(self._echo)
            self._prepared = True
        if isinstance(command, Load):
            self._unload()
            cancelled = self._cancel_check(command.job)
            with devices.meeting(command.settings.rpc_servers, cancelled):
                if command.settings.rpc_servers:
                    self._emit(DevicesListed(devices.listed()))
                self._on_cpu = devices.only_the_processor(command.settings)
                self._session = Session(command.settings, self._progress(), cancelled)
            self._emit(ModelLoaded(self._session.model))
        elif isinstance(command, Chat):
            self._chat(command)
        elif isinstance(command, Unload):
            self._unload()
            self._emit(Unloaded())
        elif isinstance(command, ListDevices):
            self._emit(self._list_devices(command))

    def _list_devices(self, command: ListDevices) -> DevicesListed:
        try:
            with devices.meeting(command.rpc_servers):
                return DevicesListed(devices.listed())
        except EngineError as error:
            return DevicesListed((), str(error))

    def _interrupt(self) -> None:
        session = self._session
        if session is not None:
            session.interrupt()

    def _cancel_check(self, job: int) -> Callable[[], bool]:
        def cancelled() -> bool:
            self._active_at = time.monotonic()
            return self._cancelled_up_to >= job or self._stopping.is_set()

        return cancelled

    def _progress(self) -> Callable[[float], None]:
        told_at = 0.0

        def tell(fraction: float) -> None:
            nonlocal told_at
            now = time.monotonic()
            if now - told_at >= PROGRESS_S or fraction >= 1.0:
                told_at = now
                self._emit(LoadProgressed(fraction))

        return tell

    def _chat(self, command: Chat) -> None:
        if self._session is None:
            raise EngineError("No model is loaded. Load one first.")
        text = TextBatch(self._emit)
        try:
            for event in self._session.chat(command.request, self._cancel_check(command.job)):
                text.take(event)
        finally:
            text.flush()

    def _unload(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
            give_memory_back()
