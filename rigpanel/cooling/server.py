# SPDX-License-Identifier: MIT
"""The helper's socket: many clients, none of whom can keep the fans or another client waiting."""

import contextlib
import logging
import os
import selectors
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rigpanel.cooling.authority import Authority, Peer, peer_of
from rigpanel.cooling.listener import Listener
from rigpanel.cooling.protocol import (
    FREE,
    LONGEST_LINE,
    ROOT_ONLY,
    ProtocolError,
    Request,
    as_line,
    parse_request,
)
from rigpanel.cooling.service import CoolingService
from rigpanel.cooling.verbs import carry_out
from rigpanel.errors import RigpanelError

MOST_CLIENTS = 300
MOST_WAITING = 4
"""Questions to polkit at a time."""
MOST_WAITING_EACH = 2
"""Of these about one user: nobody can keep others from being asked about."""
WAITING_S = 120.0
TRUSTED_S = 300.0
"""A yes of polkit's is good for so long on its connection: what polkit itself keeps one for."""
READ_AT_ONCE = 4096
LINES_A_TURN = 4
STUCK_S = 10.0
"""A client is let go of that stops for so long in the middle of a line or of an answer."""
LEASE_S = 10.0
"""A client that holds a lease is gone when it has said nothing for so long."""
SESSION_IDLE_S = 60.0
"""A helper for one user's session ends when that user has not been connected for so long."""

log = logging.getLogger(__name__)


class _Client:
    def __init__(self, number: int, connection: socket.socket, peer: Peer, now: float) -> None:
        self.number = number
        self.connection = connection
        self.peer = peer
        self.heard_s = now
        self.stuck_since_s: float | None = None
        self.received = bytearray()
        self.answers = bytearray()
        self.leases = False
        self.trusted_until_s = now
        self.asked: subprocess.Popen[bytes] | None = None
        self.asked_for: Request | None = None
        self.asked_until_s = 0.0
        self.asked_fd = -1


class Server:
    """Serves one service on one socket, and ticks it; `run` until `stop`."""

    def __init__(
        self,
        path: Path,
        service: CoolingService,
        authority: Authority,
        alive: Callable[[], None],
        session_of: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._authority = authority
        self._alive = alive
        self._session_of = session_of
        self._session_seen_s = clock()
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._listener = Listener(path)
        self._clients: dict[int, _Client] = {}
        self._backlog: dict[int, _Client] = {}
        self._numbers = 0
        self._stopping = False

    def open(self) -> None:
        """Take the socket; raises ListenerError."""
        self._listener.open()
        self._selector.register(self._listener.socket, selectors.EVENT_READ, self._accept)

    def watch(self, file: int, callback: Callable[[], None]) -> None:
        """Call back when a file can be read, a signal's pipe say."""
        self._selector.register(file, selectors.EVENT_READ, lambda _mask: callback())

    def stop(self) -> None:
        """End `run` after what is being done."""
        self._stopping = True

    def run(self) -> None:
        """Tick and answer until stopped; an error of a tick ends it, one of a client only that."""
        next_tick_s = self._clock()
        while not self._stopping:
            if self._clock() >= next_tick_s:
                self._service.tick()
                self._alive()
                self._tidy()
                next_tick_s = self._clock() + self._service.loop.wait_s
            wait_s = 0.0 if self._backlog else max(0.0, next_tick_s - self._clock())
            for key, mask in self._selector.select(wait_s):
                key.data(mask)
                if self._stopping or self._clock() >= next_tick_s:
                    break  # the fans come first; who is left is still to be read
            for client in list(self._backlog.values()):
                if self._clock() >= next_tick_s:
                    break
                self._guarded(client, self._answer_lines)

    def close(self) -> None:
        """Let go of every client and of the socket."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()
        self._listener.close()

    def _accept(self, _mask: int) -> None:
        for _ in range(64):
            try:
                connection, _ = self._listener.socket.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                log.warning("a client could not be taken: %s", error)
                self._drop_idlest()
                return
            connection.setblocking(False)
            if len(self._clients) >= MOST_CLIENTS:
                self._drop_idlest()
            try:
                peer = peer_of(connection)
            except OSError:
                connection.close()
                continue
            self._numbers += 1
            client = _Client(self._numbers, connection, peer, self._clock())
            self._clients[client.number] = client
            self._selector.register(connection, selectors.EVENT_READ, self._handler(client))

    def _handler(self, client: _Client) -> Callable[[int], None]:
        def handle(mask: int) -> None:
            self._guarded(client, lambda it: self._serve(it, mask))

        return handle

    def _guarded(self, client: _Client, work: Callable[[_Client], None]) -> None:
        """Do something for a client; whatever goes wrong costs that client alone."""
        try:
            work(client)
        except ConnectionError:
            self._drop(client)
        except Exception:
            log.exception("client %d of user %d is let go", client.number, client.peer.uid)
            self._drop(client)

    def _serve(self, client: _Client, mask: int) -> None:
        if client.number not in self._clients:
            return  # let go of since it became ready
        if mask & selectors.EVENT_WRITE:
            self._flush(client)
            self._answer_lines(client)
        if client.number not in self._clients or not mask & selectors.EVENT_READ:
            return
        try:
            received = client.connection.recv(READ_AT_ONCE)
        except BlockingIOError:
            return
        if not received:
            self._drop(client)
            return
        client.received += received
        self._answer_lines(client)

    def _answer_lines(self, client: _Client) -> None:
        """Answer some lines and leave the rest for the next turn, so that others get theirs."""
        self._backlog.pop(client.number, None)
        for _ in range(LINES_A_TURN):
            if client.asked is not None or client.answers or client.number not in self._clients:
                break  # the next line waits until this one's answer is heard
            line, found, rest = client.received.partition(b"\n")
            if not found:
                break
            client.received = rest
            client.heard_s, client.stuck_since_s = self._clock(), None
            self._answer(client, bytes(line))
        if client.number not in self._clients:
            return
        waits = client.asked is not None or bool(client.answers)
        if b"\n" in client.received and not waits:
            self._backlog[client.number] = client
        elif not waits and len(client.received) > LONGEST_LINE:
            self._send(client, {"id": None, "ok": False, "error": "This line is too long."})
            self._flush(client)
            self._drop(client)
            return
        self._interest(client)

    def _answer(self, client: _Client, line: bytes) -> None:
        try:
            request = parse_request(line)
        except ProtocolError as error:
            self._refuse(client, None, "bad_request", str(error))
            return
        if request.verb in ROOT_ONLY and client.peer.uid != 0:
            self._refuse(client, request, "no_permission", "Only root may do this.")
        elif request.verb in FREE or request.verb in ROOT_ONLY or self._may_set(client):
            self._carry_out(client, request)
        elif not self._ask(client, request):
            self._refuse_right(client, request)

    def _carry_out(self, client: _Client, request: Request) -> None:
        try:
            told = carry_out(self._service, request, client.number)
        except ProtocolError as error:
            self._refuse(client, request, "bad_request", str(error))
        except RigpanelError as error:
            self._refuse(client, request, "failed", str(error))
        else:
            client.leases |= bool(request.fields.get("lease"))
            self._send(client, {"id": request.id, "ok": True, **told})

    def _may_set(self, client: _Client) -> bool:
        return self._clock() < client.trusted_until_s or self._authority.may_set(client.peer)

    def _ask(self, client: _Client, request: Request) -> bool:
        """Ask polkit without waiting for it; whether it is being asked."""
        waiting = [other.peer.uid for other in self._clients.values() if other.asked is not None]
        if len(waiting) >= MOST_WAITING or waiting.count(client.peer.uid) >= MOST_WAITING_EACH:
            return False
        asked = self._authority.ask(client.peer)
        if asked is None:
            return False
        try:
            client.asked_fd = os.pidfd_open(asked.pid)
        except OSError:
            asked.kill()
            asked.wait()
            return False
        client.asked, client.asked_for = asked, request
        client.asked_until_s = self._clock() + WAITING_S
        self._selector.register(
            client.asked_fd,
            selectors.EVENT_READ,
            lambda _mask: self._guarded(client, self._hear_polkit),
        )
        self._interest(client)
        return True

    def _hear_polkit(self, client: _Client) -> None:
        request = client.asked_for
        allowed = self._end_asking(client) == 0
        client.heard_s = self._clock()  # meanwhile it was not listened to
        if allowed:
            client.trusted_until_s = client.heard_s + TRUSTED_S
        if request is not None:
            if allowed:
                self._carry_out(client, request)
            else:
                self._refuse_right(client, request)
        self._answer_lines(client)

    def _end_asking(self, client: _Client) -> int | None:
        asked = client.asked
        if asked is None:
            return None
        self._selector.unregister(client.asked_fd)
        os.close(client.asked_fd)
        if asked.poll() is None:
            asked.kill()
        client.asked = client.asked_for = None
        return asked.wait()

    def _refuse_right(self, client: _Client, request: Request) -> None:
        self._refuse(
            client,
            request,
            "no_permission",
            "You may not set fans or power limits. Be root, or have root add you to the group "
            "rigpanel: `usermod -aG rigpanel NAME`.",
        )

    def _refuse(self, client: _Client, request: Request | None, code: str, why: str) -> None:
        ident = None if request is None else request.id
        self._send(client, {"id": ident, "ok": False, "code": code, "error": why})

    def _send(self, client: _Client, answer: dict[str, Any]) -> None:
        if client.number not in self._clients:
            return
        client.answers += as_line(answer)
        self._flush(client)

    def _flush(self, client: _Client) -> None:
        with contextlib.suppress(BlockingIOError):
            sent = client.connection.send(client.answers)
            del client.answers[:sent]
        self._interest(client)

    def _interest(self, client: _Client) -> None:
        """Listen to a client only while there is room for what it says."""
        if client.number not in self._clients:
            return
        if not (client.received or client.answers) or client.asked is not None:
            client.stuck_since_s = None
        elif client.stuck_since_s is None:
            client.stuck_since_s = self._clock()
        full = client.asked is not None or len(client.received) > LONGEST_LINE
        mask = 0 if full else selectors.EVENT_READ
        mask |= selectors.EVENT_WRITE if client.answers else 0
        known = self._selector.get_map().get(client.connection)
        if mask == 0:
            if known is not None:
                self._selector.unregister(client.connection)
        elif known is None:
            self._selector.register(client.connection, mask, self._handler(client))
        elif known.events != mask:
            self._selector.modify(client.connection, mask, known.data)

    def _tidy(self) -> None:
        """Let go of those who stopped in the middle of a line, or hold a lease and are silent."""
        now = self._clock()
        for client in list(self._clients.values()):
            stuck = client.stuck_since_s is not None and now - client.stuck_since_s > STUCK_S
            silent = client.leases and now - client.heard_s > LEASE_S
            if client.asked is not None:
                if now > client.asked_until_s:
                    self._guarded(client, self._hear_polkit)
            elif stuck or silent:
                self._drop(client)
        if self._session_of is None:
            return
        if any(client.peer.uid == self._session_of for client in self._clients.values()):
            self._session_seen_s = now
        if now - self._session_seen_s > SESSION_IDLE_S:
            log.info("the session's panel is gone")
            self.stop()

    def _drop_idlest(self) -> None:
        """Make room at the cost of the user who takes most of it."""
        idle = [client for client in self._clients.values() if not client.leases]
        crowds = Counter(client.peer.uid for client in idle)
        if idle:
            self._drop(min(idle, key=lambda it: (-crowds[it.peer.uid], it.heard_s)))

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.number, None) is None:
            return
        self._backlog.pop(client.number, None)
        self._end_asking(client)
        if self._selector.get_map().get(client.connection) is not None:
            self._selector.unregister(client.connection)
        client.connection.close()
        if client.leases:
            self._service.end_lease(client.number)
