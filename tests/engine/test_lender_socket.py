# SPDX-License-Identifier: MIT
"""How the lender's sockets are found and guarded."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from rigpanel.engine.lender_socket import HELLO_S, SilentClients, guard, listener

HELLO = b"\x0e" + (24).to_bytes(8, "little") + bytes(24)


@pytest.fixture
def served() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        yield server


@contextlib.contextmanager
def met(server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Have a client, and the server's own end of its connection."""
    with socket.create_connection(server.getsockname(), 10) as client:
        accepted, _ = server.accept()
        with accepted:
            yield client, accepted


def ended(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_what_listens_is_found_among_the_other_sockets(served: socket.socket) -> None:
    port = served.getsockname()[1]
    with met(served):
        found = listener(port)
        assert found is not None
        with found:
            assert found.getsockname() == served.getsockname()
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    served.close()
    assert listener(port) is None


def test_clients_inherit_that_their_machines_end_is_noticed(served: socket.socket) -> None:
    guard(served)
    with met(served) as (_, accepted):
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle_s = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert idle_s <= 60


def test_more_clients_than_llama_cpp_lets_wait_are_let_wait(served: socket.socket) -> None:
    guard(served)
    with contextlib.ExitStack() as waiting:
        for _ in range(12):
            waiting.enter_context(socket.create_connection(served.getsockname(), 2))


def test_who_says_nothing_is_sent_away_and_who_said_hello_may_think(served: socket.socket) -> None:
    clients = SilentClients(served.getsockname()[1])
    with met(served) as (mute, _), met(served) as (panel, its_end):
        panel.sendall(HELLO)
        its_end.recv(len(HELLO), socket.MSG_WAITALL)
        for now in (0.0, HELLO_S - 0.1):
            clients.look(now)
            assert not ended(mute)
        clients.look(HELLO_S)
        assert ended(mute)
        clients.look(1000.0)
        assert not ended(panel)


def test_a_client_that_comes_later_has_its_own_time(served: socket.socket) -> None:
    clients = SilentClients(served.getsockname()[1])
    with met(served):
        clients.look(0.0)
    with met(served) as (late, _):
        clients.look(HELLO_S)
        assert not ended(late)
