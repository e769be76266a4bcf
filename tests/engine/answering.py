# SPDX-License-Identifier: MIT
"""Things on a port that are no llama.cpp RPC server, or a strange one."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def answering(how: Callable[[socket.socket], None]) -> Iterator[str]:
    """Have something on a port that answers everybody so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        how(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def silent(connection: socket.socket) -> None:
    """Take everything and say nothing."""
    while connection.recv(64):
        pass
