# SPDX-License-Identifier: MIT
"""One instance per user and home: the first start listens for later ones and shows itself."""

import json
import os

from PySide6.QtCore import QLockFile, QObject, Signal, Slot
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from rigpanel import paths

LONGEST_ASK = 4096


class InstanceServer(QObject):
    """Listens for later starts, on the socket that `rigpanel.cli.panel` asks before all else."""

    show_requested = Signal(str)
    """Name of the pane asked for, or nothing."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = str(paths.instance_socket())
        # The lock, not the socket, says who is first: two starts at once cannot both win it, and
        # one whose holder has crashed is free again.
        self._lock = QLockFile(f"{self._path}.lock")
        self._lock.setStaleLockTime(0)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._greet)

    def listen(self) -> bool:
        """Become the one that runs; False where another is. What a crash left is swept away."""
        if not self._lock.tryLock(0):
            return self._lock.error() is not QLockFile.LockError.LockFailedError
        QLocalServer.removeServer(self._path)
        self._server.listen(self._path)
        return True

    def close(self) -> None:
        """Stop listening and let go of the socket."""
        self._server.close()
        self._lock.unlock()

    @Slot()
    def _greet(self) -> None:
        while (connection := self._server.nextPendingConnection()) is not None:
            connection.readyRead.connect(self._listen_to)
            connection.disconnected.connect(connection.deleteLater)
            if connection.bytesAvailable():
                self._answer(connection)

    @Slot()
    def _listen_to(self) -> None:
        connection = self.sender()
        if isinstance(connection, QLocalSocket):
            self._answer(connection)

    def _answer(self, connection: QLocalSocket) -> None:
        if not connection.canReadLine():
            if connection.bytesAvailable() > LONGEST_ASK:
                connection.abort()
            return
        try:
            ask = json.loads(bytes(connection.readLine().data()))
            pane, token = str(ask.get("pane") or ""), str(ask.get("token") or "")
        except (ValueError, AttributeError):
            connection.abort()
            return
        connection.write(b"shown\n")
        connection.disconnectFromServer()
        if token:
            # Wayland lets a window come to the front only with the token its caller was given.
            os.environ["XDG_ACTIVATION_TOKEN"] = token
        self.show_requested.emit(pane)
