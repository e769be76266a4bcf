# SPDX-License-Identifier: MIT
"""The sockets of llama.cpp's RPC server in this process, guarded against clients that hold it up.

It serves one client at a time, and waits without a limit for one that is gone or says nothing.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")
BACKLOG = 64
"""llama.cpp's own is 1; what waits there are mostly short questions of others."""
KEEPALIVE_IDLE_S, KEEPALIVE_EVERY_S, KEEPALIVE_TIMES = 30, 10, 6
"""After a minute and a half without a sign a client's machine is off, or the way to it is cut."""
HELLO_S = 4.0
"""A client says hello as soon as it is connected."""
_HELLO_BYTES = 33
_BYTES_RECEIVED = slice(128, 136)
"""Field tcpi_bytes_received of struct tcp_info in linux/tcp.h."""


def listener(port: int) -> socket.socket | None:
    """Return another descriptor of the socket that listens on a port, None where there is none."""
    for found in _own_sockets(port):
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return found
        found.close()
    return None


def guard(listening: socket.socket) -> None:
    """Have clients that are gone noticed; those it accepts inherit that."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S),
        (socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S),
        (socket.TCP_KEEPCNT, KEEPALIVE_TIMES),
        (
            socket.TCP_USER_TIMEOUT,
            1000 * (KEEPALIVE_IDLE_S + KEEPALIVE_EVERY_S * KEEPALIVE_TIMES),
        ),
    ):
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
    listening.listen(BACKLOG)


class SilentClients:
    """Sends clients away that connect and do not say hello: nobody else is served meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._since: dict[tuple[str, int], float] = {}

    def look(self, now: float) -> None:
        """End the connections that have been silent for HELLO_S."""
        silent = {}
        for connection in _own_sockets(self._port):
            with connection, contextlib.suppress(OSError):  # One that listens, or has gone.
                peer = connection.getpeername()
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                if int.from_bytes(info[_BYTES_RECEIVED], "little") < _HELLO_BYTES:
                    silent[peer] = self._since.get(peer, now)
                    if now - silent[peer] >= HELLO_S:
                        connection.shutdown(socket.SHUT_RDWR)
        self._since = silent


def _own_sockets(port: int) -> Iterator[socket.socket]:
    """Yield further descriptors of this process's TCP sockets on a local port; to be closed."""
    for entry in DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):  # It has been closed meanwhile.
            number = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            found = socket.socket(fileno=os.dup(number))
            if found.family == socket.AF_INET and found.getsockname()[1] == port:
                yield found
            else:
                found.close()
