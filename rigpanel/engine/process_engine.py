# SPDX-License-Identifier: MIT
"""The engine in a process of its own: what ends llama.cpp costs the model and nothing else."""

import asyncio
import logging
import time
from typing import Any

from rigpanel.engine.child import KILL_S, Child
from rigpanel.engine.devices import Device, DeviceKind, in_order_of_servers
from rigpanel.engine.endings import does_not_end, how_it_ended, how_it_hung, lost_a_server
from rigpanel.engine.events import Alive, Command, DevicesListed, Failed, Quit, Unloaded
from rigpanel.engine.messages import EngineError, EngineState, LoadCancelledError
from rigpanel.engine.probe import list_devices
from rigpanel.engine.rpc_peer import who_is_gone
from rigpanel.engine.watchdog import CANCEL_S, HANG_S, Watchdog
from rigpanel.engine.worker_engine import WorkerEngine
from rigpanel.fit.load_settings import LoadSettings

QUIT_S = 4.0
"""How long the engine may take to end by itself; together with KILL_S, 5 s."""
LOOK_S = 0.5
"""How often the watchdog looks."""
ASKING_S = 0.02
"""How often a load that waits for the devices to be listed looks whether it was cancelled."""
BUSY = {EngineState.LOADING, EngineState.GENERATING}

log = logging.getLogger(__name__)


class ProcessEngine(WorkerEngine):
    """An engine whose worker runs in a child process; the next load starts a fresh one.

    A job that shows no sign of life for `hang_limit_s`, or does not obey a cancel within
    `cancel_limit_s`, has its process killed, and that is told like any other death.
    """

    def __init__(self, hang_limit_s: float = HANG_S, cancel_limit_s: float = CANCEL_S) -> None:
        super().__init__()
        self._child: Child | None = None
        self._reading: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(hang_limit_s, cancel_limit_s)
        self._verdict: str | None = None
        self._expected_end = False
        self._asking = asyncio.Lock()
        """Held while a process asks for the devices."""
        self._probe: asyncio.Task[tuple[Device, ...]] | None = None
        """The last such asking."""
        self._listings = 0
        """How many callers wait for the devices."""
        self._meets = False
        """Whether the process was told of RPC servers."""
        self._lent: tuple[Device, ...] = ()
        """Devices of the RPC servers that the process has met, as they were then."""
        self._parting: asyncio.Task[bool] | None = None
        """Waits for a process that was told to end, because it had met RPC servers."""

    @property
    def pid(self) -> int | None:
        """Process id of the engine while there is one."""
        return None if self._child is None else self._child.process.pid

    async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
        """List the devices from a process that ends with the answer; see Engine."""
        if rpc_servers and self._loading is not None:  # It may be greeting the same servers.
            await asyncio.wait({self._loading})
        self._listings += 1
        try:
            async with self._asking:
                return await self._list_devices(rpc_servers)
        finally:
            self._listings -= 1

    async def _list_devices(self, rpc_servers: tuple[str, ...]) -> tuple[Device, ...]:
        held = {device.address for device in self._lent}
        asked = tuple(server for server in rpc_servers if server not in held)
        self._probe = asyncio.create_task(list_devices(asked))
        try:
            found = await self._probe
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise EngineError("The engine was stopped.") from None
        return in_order_of_servers((*found, *self._lent), rpc_servers)

    async def _start(self, settings: LoadSettings, /) -> None:
        while settings.rpc_servers and self._listings:
            await asyncio.sleep(ASKING_S)  # A server answers one at a time.
            self._refuse_when_cancelled()
        if self._child is not None and self._meets:
            self._let_go_of_servers(self._child)
        await self._parted()
        if self._child is None:
            self._expected_end, self._verdict = False, None
            self._child = await Child.start()
            self._reading = asyncio.create_task(self._read(self._child))
        self._meets = bool(settings.rpc_servers)
        self._watchdog.job_begins(time.monotonic(), meets_servers=self._meets)

    def _let_go_of_servers(self, child: Child) -> None:
        """End a process that has met RPC servers: its connections may be dead, its names others.

        They answer one client at a time, so one that has nothing loaded would only be in the way.
        """
        self._child, self._lent, self._meets = None, (), False
        child.post(Quit())
        self._parting = asyncio.create_task(child.ends(QUIT_S))

    async def _parted(self) -> None:
        if self._parting is not None:
            await asyncio.wait({self._parting})
            self._parting = None

    def _post(self, command: Command) -> None:
        if self._child is not None:
            self._child.post(command)

    def _begin_reply(self) -> None:
        self._watchdog.job_begins(time.monotonic())

    def cancel(self) -> None:
        """Stop the load or reply under way; one that does not stop in time is killed."""
        if self._status.state in BUSY:
            self._watchdog.cancelled(time.monotonic())
        super().cancel()

    async def _read(self, child: Child) -> None:
        """Take events until the process closes its end, then tell how it went."""
        watching = asyncio.create_task(self._watch(child))
        try:
            while (event := await self._next_event(child)) is not None:
                self._hear(event)
                failed = isinstance(event, Failed) and self._status.state is EngineState.EMPTY
                if failed and self._meets and self._child is child:
                    self._let_go_of_servers(child)
        finally:
            watching.cancel()
        child.close()
        ended = await child.ends(QUIT_S)
        if self._child is not child:
            return
        problem = None if self._expected_end else await self._problem(child, ended=ended)
        self._child, self._lent, self._meets = None, (), False
        if problem is None:
            self._ended(None)
        elif self._verdict is not None and self._load_was_cancelled():
            self._ended(None, error=LoadCancelledError("The load was cancelled."))
        else:
            self._ended(problem, tuple(child.lines))

    async def _next_event(self, child: Child) -> Any:
        while True:
            try:
                return await child.next_event()
            except ValueError:
                log.exception("an event of the engine could not be read")

    def _hear(self, event: Any) -> None:
        self._watchdog.hear(time.monotonic(), event.idle_s if isinstance(event, Alive) else 0.0)
        try:
            if isinstance(event, DevicesListed):
                self._lent = tuple(d for d in event.devices if d.kind is DeviceKind.RPC)
                self._watchdog.servers_met()
            elif not isinstance(event, Alive):
                self._take(event)
        except Exception:
            log.exception("an event of the engine could not be taken")

    async def _watch(self, child: Child) -> None:
        """Kill the process when it hangs; the end is told where its events are read."""
        while self._verdict is None:
            await asyncio.sleep(LOOK_S)
            if self._status.state in BUSY:
                self._verdict = self._watchdog.verdict(time.monotonic())
        child.kill()

    def _load_was_cancelled(self) -> bool:
        return self._status.state is EngineState.LOADING and self._cancelled_job >= self._job

    async def _problem(self, child: Child, *, ended: bool) -> str:
        if not ended:
            return does_not_end(child.process.pid)
        lines = list(child.lines)
        loading = self._status.state is EngineState.LOADING
        servers = () if self._settings is None else self._settings.rpc_servers
        gone: tuple[str, ...] = ()
        if self._verdict or lost_a_server(lines):
            gone = await asyncio.to_thread(who_is_gone, servers)
        if self._verdict is not None:
            return how_it_hung(self._verdict, gone, loading=loading)
        return how_it_ended(child.process.returncode, lines, gone, servers, loading=loading)

    async def unload(self) -> None:
        """End the process, so that all of its memory is certain to be free."""
        self._refuse_when_busy()
        await self.stop()
        if self._status.state is EngineState.STOPPED:
            self._take(Unloaded())

    async def stop(self) -> None:
        """End the process within 5 s; raises EngineError when even killing does not end it."""
        if self._probe is not None:
            self._probe.cancel()  # It may wait for a server, and a load for it.
        self.cancel()
        async with self._lifecycle:
            await self._parted()
            child, reading = self._child, self._reading
            if child is None or reading is None:
                return
            self._expected_end = True
            self.cancel()
            child.post(Quit())
            gone = await child.ends(QUIT_S)
            await asyncio.wait({reading}, timeout=KILL_S)
            if reading.done():
                return
            reading.cancel()  # It waits for the process, or for RPC servers that do not answer.
            self._child, self._reading = None, None
            self._lent, self._meets = (), False
            problem = None if gone else does_not_end(child.process.pid)
            self._ended(problem, tuple(child.lines) if problem else ())
            if problem is not None:
                raise EngineError(problem)
