# SPDX-License-Identifier: MIT
"""One instance per user and home: a second start asks the first to show itself."""

import hashlib
import os
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from rigpanel import paths

ANSWER_MS = 1000


def socket_name() -> str:
    """Name of the socket: in the user's runtime folder, one for each set of settings."""
    home = hashlib.sha256(str(paths.data_dir()).encode()).hexdigest()[:12]
    name = f"rigpanel-{os.getuid()}-{home}"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return str(Path(runtime) / name) if runtime and Path(runtime).is_dir() else name


def raise_running() -> bool:
    """Ask the instance that runs to show its window; says whether there was one."""
    socket = QLocalSocket()
    socket.connectToServer(socket_name())
    if not socket.waitForConnected(ANSWER_MS):
        return False
    socket.write(b"show\n")
    socket.waitForBytesWritten(ANSWER_MS)
    return bool(socket.waitForReadyRead(ANSWER_MS))


class InstanceServer(QObject):
    """Listens for later starts."""

    show_requested = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._greet)

    def listen(self) -> bool:
        """Begin to listen; a socket left by a crash is swept away."""
        if self._server.listen(socket_name()):
            return True
        QLocalServer.removeServer(socket_name())
        return self._server.listen(socket_name())

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._server.close()

    @Slot()
    def _greet(self) -> None:
        connection = self._server.nextPendingConnection()
        if connection is not None:
            connection.write(b"shown\n")
            connection.disconnected.connect(connection.deleteLater)
            connection.flush()
            connection.disconnectFromServer()
            self.show_requested.emit()
