# SPDX-License-Identifier: MIT
"""The socket that the helper listens on, and the lock that says whose it is."""

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path

from rigpanel.errors import RigpanelError

LOCK_PATIENCE_S = 2.0
WAITING_AT_MOST = 512
"""Clients that the kernel keeps waiting to be taken."""


class ListenerError(RigpanelError):
    """The socket cannot be had; the text says why and what to do."""


class AlreadyServedError(ListenerError):
    """Another helper serves this socket, and the fans are its own."""


class Listener:
    """A socket at a path, which one process at a time can have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lock = -1
        self._bound = False

    def open(self) -> None:
        """Take the socket, over what a dead helper left of it; raises ListenerError."""
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._take_lock()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._bind()
            self.socket.listen(WAITING_AT_MOST)
        except OSError as error:
            raise ListenerError(f"The socket {self._path} cannot be made ({error}).") from error
        self.socket.setblocking(False)

    def close(self) -> None:
        """Let go of the socket and of the lock."""
        self.socket.close()
        if self._bound:
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _bind(self) -> None:
        """Make the socket with the mode it shall have: a later chmod could be led elsewhere."""
        mask = os.umask(0o111)
        try:
            self.socket.bind(str(self._path))
        finally:
            os.umask(mask)
        self._bound = True

    def _take_lock(self) -> None:
        """Hold a lock as long as this process lives; another that is just ending is waited for."""
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock = os.open(f"{self._path}.lock", flags, 0o600)
        until_s = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > until_s:
                    os.close(self._lock)
                    self._lock = -1
                    raise AlreadyServedError(
                        f"Another rigpanel-fand already serves {self._path}. End that one first."
                    ) from error
                time.sleep(0.05)
            else:
                return
