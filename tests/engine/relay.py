# SPDX-License-Identifier: MIT
"""Stands between a client and a real RPC server, and can fall silent as a cut cable does."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

HELLO_ANSWER = 36
"""Bytes of a server's answer to hello."""
EVERYTHING = float("inf")
Patience = Callable[[int], float]
"""How many bytes from the server pass on the nth connection, from 0."""


class Relay:
    """Takes connections and passes on what is said, as far as the test lets it."""

    def __init__(self, server: str, passes: Patience = lambda _: EVERYTHING) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._passes = passes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.cut = False
        """Set, nothing passes any more, and nobody is told."""
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                limit = self._passes(self.connections)
                self.connections += 1
                self._start(self._pass_on, client, server, EVERYTHING)
                self._start(self._pass_on, server, client, limit)

    def _pass_on(self, source: socket.socket, to: socket.socket, limit: float) -> None:
        """Pass on so many bytes; what comes after is taken and kept, and so is the end."""
        passed = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                through = b"" if self.cut else piece[: max(int(min(limit - passed, 65_536)), 0)]
                to.sendall(through)
                passed += len(through)
            if passed < limit and not self.cut:
                to.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut every connection and wait for the threads."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for connection in self._open:
            connection.close()


@contextlib.contextmanager
def relaying(server: str, passes: Patience = lambda _: EVERYTHING) -> Iterator[Relay]:
    """Have one, and close it."""
    relay = Relay(server, passes)
    try:
        yield relay
    finally:
        relay.close()
