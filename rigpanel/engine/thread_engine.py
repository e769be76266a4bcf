# SPDX-License-Identifier: MIT
"""The engine inside the panel, for platforms where a child process is not wanted."""

import asyncio
import contextlib
import itertools
import os

from rigpanel.engine.devices import Device
from rigpanel.engine.environment import prepare_environment
from rigpanel.engine.events import Command, DevicesListed, Event, ListDevices, Unload, Unloaded
from rigpanel.engine.messages import EngineError, EngineState
from rigpanel.engine.worker import EngineWorker
from rigpanel.engine.worker_engine import WorkerEngine
from rigpanel.fit.load_settings import LoadSettings

STOP_S = 5.0
POLL_S = 0.02


class ThreadEngine(WorkerEngine):
    """An engine whose worker is a thread of this process; llama.cpp's end would be ours too."""

    def __init__(self) -> None:
        super().__init__()
        self._worker: EngineWorker | None = None
        self._unloaded = asyncio.Event()
        self._asked: list[asyncio.Future[DevicesListed]] = []

    @property
    def pid(self) -> int | None:
        """This very process."""
        return os.getpid()

    def _take_from(self, worker: EngineWorker, event: Event) -> None:
        """Take one event, unless it is from a worker that was given up."""
        if worker is not self._worker:
            return
        if isinstance(event, DevicesListed):
            self._answer(event)
            return
        self._take(event)
        if isinstance(event, Unloaded):
            self._unloaded.set()

    async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
        """List this process's own devices, once the job under way is done; see Engine."""
        self._refuse_servers(rpc_servers)
        async with self._lifecycle:
            await self._begin()
            answer: asyncio.Future[DevicesListed] = asyncio.get_running_loop().create_future()
            self._asked.append(answer)
            self._post(ListDevices(0, ()))
        listed = await answer
        if listed.problem:
            raise EngineError(listed.problem)
        return listed.devices

    def _answer(self, event: DevicesListed) -> None:
        while self._asked:
            answer = self._asked.pop()
            if not answer.done():
                answer.set_result(event)

    @staticmethod
    def _refuse_servers(rpc_servers: tuple[str, ...]) -> None:
        if rpc_servers:
            raise EngineError(
                "RPC servers need the engine in a process of its own: llama.cpp ends its process "
                'when one of them goes away. Set engine.isolation to "process".'
            )

    async def _start(self, settings: LoadSettings, /) -> None:
        self._refuse_servers(settings.rpc_servers)
        await self._begin()

    async def _begin(self) -> None:
        if self._worker is not None:
            return
        prepare_environment(os.environ)
        loop = asyncio.get_running_loop()

        def emit(event: Event) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody listens any more.
                loop.call_soon_threadsafe(self._take_from, worker, event)

        worker = EngineWorker(emit)
        self._worker = worker
        worker.start()

    def _post(self, command: Command) -> None:
        if self._worker is not None:
            self._worker.post(command)

    async def unload(self) -> None:
        """Free the model; the thread stays."""
        self._refuse_when_busy()
        if self._worker is None or self._status.state is not EngineState.READY:
            return
        self._unloaded.clear()
        self._job += 1
        self._post(Unload(self._job))
        await self._unloaded.wait()

    async def stop(self) -> None:
        """End the thread; raises EngineError when llama.cpp does not come back in 5 s."""
        async with self._lifecycle:
            worker = self._worker
            if worker is None:
                return
            self.cancel()
            worker.stop(0.0)
            for _ in itertools.repeat(None, int(STOP_S / POLL_S)):
                if not worker.alive:
                    break
                await asyncio.sleep(POLL_S)
            self._worker = None
            self._unloaded.set()
            self._answer(DevicesListed((), "The engine was stopped."))
            self._ended(None)
        if worker.alive:
            raise EngineError("llama.cpp did not stop within 5 s; it ends with the program.")
