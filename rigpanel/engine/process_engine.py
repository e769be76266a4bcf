# SPDX-License-Identifier: MIT
"""The engine in a process of its own: what ends llama.cpp costs the model and nothing else."""

import asyncio
import collections
import contextlib
import logging
import signal
import socket
import subprocess
import sys
import threading

from rigpanel.engine.events import Command, Quit, Unloaded, decode, encode
from rigpanel.engine.messages import EngineError, EngineState
from rigpanel.engine.worker_engine import WorkerEngine

QUIT_S = 4.0
"""How long the engine may take to end by itself; together with KILL_S, 5 s."""
KILL_S = 1.0
LINE_LIMIT = 64 * 1024 * 1024
LOG_LINES = 60
"""Last lines of the engine's log that are kept for telling how it died."""

log = logging.getLogger(__name__)


class _Child:
    """One engine process: its socket, and a thread that reads its log and reaps it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "rigpanel.engine.process", "--fd", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise EngineError(f"The engine could not be started: {error.strerror}.") from error
        self.socket = ours
        self.lines: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self.ended = asyncio.Event()
        self._loop = loop
        self._thread = threading.Thread(target=self._watch, name="engine-log", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as output:
                for raw in output:
                    self.lines.append(raw.decode("utf-8", "replace").rstrip())
        self.process.wait()
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(self.ended.set)

    def how_it_ended(self) -> str:
        """Say in a sentence how the process ended."""
        code = self.process.returncode
        if code is not None and code < 0:
            try:
                how = f"was ended by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was ended by signal {-code}"
        else:
            how = f"ended with status {code}"
        last = next((line for line in reversed(self.lines) if line.strip()), None)
        told = f" Its last words: {last.strip()}" if last else ""
        why = ""
        if code == -signal.SIGKILL:
            why = " The system does this when memory runs out."
        return (
            f"The engine {how}.{why}{told} The model is gone from memory; load it again to go on."
        )


class ProcessEngine(WorkerEngine):
    """An engine whose worker runs in a child process; the next load starts a fresh one."""

    def __init__(self) -> None:
        super().__init__()
        self._child: _Child | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._expected_end = False

    @property
    def pid(self) -> int | None:
        """Process id of the engine while there is one."""
        return None if self._child is None else self._child.process.pid

    async def _start(self) -> None:
        if self._child is not None:
            return
        self._expected_end = False
        child = _Child(asyncio.get_running_loop())
        self._child = child
        reader, self._writer = await asyncio.open_connection(sock=child.socket, limit=LINE_LIMIT)
        self._reading = asyncio.create_task(self._read(child, reader))

    def _post(self, command: Command) -> None:
        if self._writer is not None:
            self._writer.write(encode(command))

    async def _read(self, child: _Child, reader: asyncio.StreamReader) -> None:
        """Take events until the process closes its end, then tell how it went."""
        while line := await self._line(reader):
            try:
                self._take(decode(line))
            except Exception:
                log.exception("an event of the engine could not be taken")
        if self._writer is not None:
            self._writer.close()
        try:
            await asyncio.wait_for(child.ended.wait(), QUIT_S)
        except TimeoutError:
            child.process.kill()
            await child.ended.wait()
        self._child = self._writer = None
        if self._expected_end:
            self._ended(None)
        else:
            self._ended(child.how_it_ended(), tuple(child.lines))

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readline()
        except (OSError, ValueError):  # Reset, or no end of the line in sight.
            return b""

    async def unload(self) -> None:
        """End the process, so that all of its memory is certain to be free."""
        self._refuse_when_busy()
        await self.stop()
        if self._status.state is EngineState.STOPPED:
            self._take(Unloaded())

    async def stop(self) -> None:
        """End the process within 5 s; raises EngineError when even killing does not end it."""
        async with self._lifecycle:
            child, reading = self._child, self._reading
            if child is None or reading is None:
                return
            self._expected_end = True
            self.cancel()
            self._post(Quit())
            try:
                await asyncio.wait_for(child.ended.wait(), QUIT_S)
            except TimeoutError:
                child.process.kill()
            await asyncio.wait({reading}, timeout=KILL_S)
            if reading.done():
                return
            reading.cancel()
            self._child = self._writer = self._reading = None
            problem = (
                f"The engine (process {child.process.pid}) does not end though it was killed; a "
                "driver that hangs holds it. Its memory comes back with a restart of the machine."
            )
            self._ended(problem, tuple(child.lines))
            raise EngineError(problem)
