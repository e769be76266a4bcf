# SPDX-License-Identifier: MIT
"""The panel's line to the fan helper, or to a simulated one in the panel itself."""

import enum
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtNetwork import QLocalSocket

from rigpanel.cooling.loop import CoolingLoop
from rigpanel.cooling.protocol import (
    ProtocolError,
    Request,
    as_line,
    parse_answer,
    socket_path,
)
from rigpanel.cooling.service import CoolingService
from rigpanel.cooling.verbs import carry_out
from rigpanel.errors import RigpanelError
from rigpanel.rig.readings import GpuSample
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.rig.simulated_control import SimulatedControl
from rigpanel.watch.tick import Tick

POLL_MS = 1000
LONGEST_ANSWER = 4 * 1024 * 1024


class HelperState(enum.Enum):
    """Whether there is a helper to ask."""

    RUNNING = "running"
    NOT_RUNNING = "not running"
    NO_PERMISSION = "no permission"
    SIMULATED = "simulated"


class HelperLink(QObject):
    """A line nobody is at the other end of; its kinds reach a helper."""

    state_changed = Signal(object)
    """A `HelperState`."""
    status_ready = Signal(object)
    """The helper's answer to `status`, as `cooling.status.status` makes it."""
    answered = Signal(str, str)
    """A verb that was asked, and what is wrong with it, nothing where it was done."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = HelperState.NOT_RUNNING

    @property
    def state(self) -> HelperState:
        """Whether there is a helper to ask."""
        return self._state

    def start(self) -> None:
        """Look for a helper from now on."""

    def stop(self) -> None:
        """Let go of the helper; what it holds stays in force."""

    def ask(self, verb: str, **_fields: Any) -> None:
        """Ask the helper; `answered` brings the outcome, then `status_ready` the cards."""
        self.answered.emit(verb, "The fan helper does not run.")

    def _set_state(self, state: HelperState) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state)


class SocketLink(HelperLink):
    """The line to the real helper, taken up again whenever one answers."""

    def __init__(self, path: str | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = str(socket_path(path))
        self._asked: dict[int, str] = {}
        self._next_id = 0
        self._socket = QLocalSocket(self)
        self._socket.connected.connect(self._connected)
        self._socket.readyRead.connect(self._read)
        self._socket.errorOccurred.connect(self._failed)
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Look for a helper now and every second."""
        self._timer.start()
        self._beat()

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()
        self._socket.abort()

    def ask(self, verb: str, **fields: Any) -> None:
        """Ask the helper, if there is one."""
        if self._socket.state() is not QLocalSocket.LocalSocketState.ConnectedState:
            super().ask(verb, **fields)
            return
        self._next_id += 1
        self._asked[self._next_id] = verb
        self._socket.write(as_line({"id": self._next_id, "verb": verb, **fields}))

    @Slot()
    def _beat(self) -> None:
        state = self._socket.state()
        if state is QLocalSocket.LocalSocketState.UnconnectedState:
            self._socket.connectToServer(self._path)
        elif "status" not in self._asked.values():
            self.ask("status")

    @Slot()
    def _connected(self) -> None:
        self._asked.clear()
        self._set_state(HelperState.RUNNING)
        self.ask("status")

    @Slot()
    def _read(self) -> None:
        while self._socket.canReadLine():
            try:
                self._take(parse_answer(bytes(self._socket.readLine().data())))
            except ProtocolError as error:
                self.answered.emit("status", str(error))
                self._socket.abort()
                return
        if self._socket.bytesAvailable() > LONGEST_ANSWER:
            self._socket.abort()

    def _take(self, answer: dict[str, Any]) -> None:
        verb = self._asked.pop(answer.get("id") or 0, "")
        done = answer.get("ok") is True
        if verb == "status" and done:
            self.status_ready.emit(answer)
            return
        self.answered.emit(verb, "" if done else str(answer.get("error", "It was refused.")))
        if verb != "status":
            self.ask("status")

    @Slot(QLocalSocket.LocalSocketError)
    def _failed(self, error: QLocalSocket.LocalSocketError) -> None:
        denied = error is QLocalSocket.LocalSocketError.SocketAccessError
        for verb in self._asked.values():
            if verb != "status":
                self.answered.emit(verb, "The fan helper ended while it was asked.")
        self._asked.clear()
        self._set_state(HelperState.NO_PERMISSION if denied else HelperState.NOT_RUNNING)


class SimulatedLink(HelperLink):
    """A helper in the panel's own process that turns the simulated rig's fans."""

    def __init__(self, rig: SimulatedRig, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cards: tuple[GpuSample, ...] = ()
        self._now_s = 0.0
        self._state = HelperState.SIMULATED
        control = SimulatedControl(rig, lambda: self._cards)
        self._service = CoolingService(
            CoolingLoop(control, self._clock, self._clock), None, self._clock
        )

    def _clock(self) -> float:
        return self._now_s

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Follow the curves with one reading of the rig."""
        self._cards, self._now_s = tick.snapshot.cards, tick.monotonic_s
        self._service.tick()
        self.status_ready.emit(self._service.status())

    def ask(self, verb: str, **fields: Any) -> None:
        """Do it at once."""
        problem = ""
        try:
            carry_out(self._service, Request(None, verb, fields), 0)
        except RigpanelError as error:
            problem = str(error)
        self.answered.emit(verb, problem)
        self.status_ready.emit(self._service.status())
