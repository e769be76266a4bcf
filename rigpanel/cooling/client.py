# SPDX-License-Identifier: MIT
"""Asks the fan helper things over its socket."""

import socket
import time
from types import TracebackType
from typing import Any, Self

from rigpanel.cooling.authority import Peer, peer_of
from rigpanel.cooling.protocol import RESTRICTED, ProtocolError, as_line, parse_answer, socket_path
from rigpanel.errors import RigpanelError

ANSWER_S = 5.0
ASKED_S = 130.0
"""Patience with an order for which polkit may be showing a dialog."""
DOES_NOT_ANSWER = "The fan helper does not answer. `systemctl status rigpanel-fand` says more."
LONGEST_ANSWER = 4 * 1024 * 1024


class HelperError(RigpanelError):
    """The helper refused or could not do what it was asked; its own sentence."""


class NotRunningError(HelperError):
    """No helper answers on the socket."""


class NoAnswerError(HelperError):
    """A helper is there and gives no answer, or none that can be understood."""


class NoPermissionError(HelperError):
    """This user may not reach the helper, or may not set."""


class HelperClient:
    """One connection; raises HelperError where it cannot be made."""

    def __init__(self, path: str | None = None) -> None:
        self._path = socket_path(path)
        self._received = bytearray()
        self._next_id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S)
        try:
            self._connect()
        except PermissionError as error:
            self._socket.close()
            raise NoPermissionError(
                f"This user may not connect to the fan helper ({self._path})."
            ) from error
        except (BlockingIOError, TimeoutError) as error:
            self._socket.close()
            raise NoAnswerError(DOES_NOT_ANSWER) from error
        except OSError as error:
            self._socket.close()
            raise NotRunningError(
                f"The fan helper does not run (nothing answers on {self._path}). Install and start "
                "it with `rigpanel setup-helper`."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and with it every lease it holds."""
        self._socket.close()

    @property
    def served_by(self) -> Peer:
        """The helper's process, by the kernel's word."""
        return peer_of(self._socket)

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Ask and return the answer; raises HelperError."""
        self._next_id += 1
        until_s = time.monotonic() + (ASKED_S if verb in RESTRICTED else ANSWER_S)
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.sendall(as_line({"id": self._next_id, "verb": verb, **fields}))
            answer = parse_answer(self._line(until_s))
        except ProtocolError as error:
            raise NoAnswerError(str(error)) from error
        except TimeoutError as error:
            raise NoAnswerError(DOES_NOT_ANSWER) from error
        except OSError as error:
            raise NotRunningError(
                "The fan helper ended while it was asked. `systemctl status rigpanel-fand` says "
                "more."
            ) from error
        if answer.get("ok") is not True:
            why = str(answer.get("error", "The fan helper refused."))
            raise (
                NoPermissionError(why)
                if answer.get("code") == "no_permission"
                else HelperError(why)
            )
        return answer

    def _connect(self) -> None:
        """Connect; a queue at the helper's door that is full for a moment is waited for."""
        until_s = time.monotonic() + ANSWER_S
        while True:
            try:
                self._socket.connect(str(self._path))
            except BlockingIOError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.02)
            else:
                return

    def _line(self, until_s: float) -> bytes:
        while b"\n" not in self._received:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            received = self._socket.recv(64 * 1024)
            if not received:
                raise ConnectionResetError
            self._received += received
            if len(self._received) > LONGEST_ANSWER:
                raise ProtocolError("The helper's answer is too long.")
        line, _, self._received = self._received.partition(b"\n")
        return bytes(line)
