# SPDX-License-Identifier: MIT
"""A child process that serves an engine's commands: its socket, its log, its end."""

import asyncio
import collections
import contextlib
import socket
import subprocess
import sys
import threading
from typing import Any

from rigpanel.engine.events import Command, decode, encode
from rigpanel.engine.messages import EngineError

KILL_S = 1.0
"""How long a process may take to end once it is killed."""
LINE_LIMIT = 64 * 1024 * 1024
LOG_LINES = 60
"""Last lines of the engine's log that are kept for telling how it died."""
LONGEST_LINE = 4096
"""What is kept of one line: a flood without an end of line must not fill the panel's memory."""


class Child:
    """One engine process: its socket, and a thread that reads its log and reaps it.

    Made by `Child.start`. Its log is read whatever it prints, so that it never waits for us.
    """

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
        self.lines: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self.ended = asyncio.Event()
        self._socket = ours
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._loop = loop
        self._thread = threading.Thread(target=self._watch, name="engine-log", daemon=True)
        self._thread.start()

    @classmethod
    async def start(cls) -> "Child":
        """Start a process and connect to it; raises EngineError."""
        child = cls(asyncio.get_running_loop())
        child._reader, child._writer = await asyncio.open_connection(
            sock=child._socket, limit=LINE_LIMIT
        )
        return child

    def _watch(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as output:
                while raw := output.readline(LONGEST_LINE):
                    self.lines.append(raw.decode("utf-8", "replace").rstrip())
        self.process.wait()
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(self.ended.set)

    def post(self, command: Command) -> None:
        """Send a command."""
        if self._writer is not None:
            self._writer.write(encode(command))

    async def next_event(self) -> Any:
        """Return the next event, or None once the process has closed its end.

        Raises ValueError for a line that is none.
        """
        if self._reader is None:
            return None
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):  # Reset, or no end of the line in sight.
            return None
        return decode(line) if line else None

    def kill(self) -> None:
        """End the process at once; one that is stopped or hangs too."""
        self.process.kill()

    def close(self) -> None:
        """Let go of the connection; a process that finds it closed ends."""
        if self._writer is not None:
            self._writer.close()

    async def ends(self, limit_s: float) -> bool:
        """Wait for its end, kill it after `limit_s`, and say whether it ended.

        Its log is whole then. A process that a driver holds may not end even so.
        """
        if await self._ends_within(limit_s):
            return True
        self.kill()
        return await self._ends_within(KILL_S)

    async def _ends_within(self, limit_s: float) -> bool:
        try:
            await asyncio.wait_for(self.ended.wait(), limit_s)
        except TimeoutError:
            return False
        return True
