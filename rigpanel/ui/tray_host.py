# SPDX-License-Identifier: MIT
"""Whether there is a tray for an icon, asked so that a tray that hangs holds nothing up."""

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtDBus import (
    QDBusConnection,
    QDBusMessage,
    QDBusPendingCallWatcher,
    QDBusServiceWatcher,
    QDBusVariant,
)
from PySide6.QtWidgets import QSystemTrayIcon

LOOK_AGAIN_MS = 2000
ANSWER_MS = 5000
"""A tray that takes longer is none for now."""
WATCHER, PATH = "org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher"
PROPERTIES = "org.freedesktop.DBus.Properties"
NOBODY = frozenset(
    {
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.Disconnected",
    }
)
"""Errors of a session in which nothing speaks StatusNotifierItem."""


class TrayHost(QObject):
    """Follows the tray as it comes and goes."""

    changed = Signal(bool)
    """There is a tray now, or there is none any more."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.available = False
        """Whether there is a tray, as far as is known."""
        self._asked: QDBusPendingCallWatcher | None = None
        self._bus = QDBusConnection.sessionBus()
        self._look_again = QTimer(self, interval=LOOK_AGAIN_MS)
        self._look_again.timeout.connect(self.look)
        self._owner = QDBusServiceWatcher(
            WATCHER, self._bus, QDBusServiceWatcher.WatchModeFlag.WatchForOwnerChange, self
        )
        self._owner.serviceOwnerChanged.connect(self.look)

    def close(self) -> None:
        """Look no more."""
        self._look_again.stop()
        self._owner.serviceOwnerChanged.disconnect(self.look)
        self._asked = None

    @Slot()
    def look(self) -> None:
        """Ask whether there is a tray; `changed` tells what is new."""
        question = QDBusMessage.createMethodCall(WATCHER, PATH, PROPERTIES, "Get")
        question.setArguments([WATCHER, "IsStatusNotifierHostRegistered"])
        self._asked = QDBusPendingCallWatcher(self._bus.asyncCall(question, ANSWER_MS), self)
        self._asked.finished.connect(self._take)

    @Slot(QDBusPendingCallWatcher)
    def _take(self, answered: QDBusPendingCallWatcher) -> None:
        answered.deleteLater()
        if answered is not self._asked:
            return  # Asked again meanwhile.
        reply = answered.reply()
        if reply.type() is QDBusMessage.MessageType.ReplyMessage:
            (value,) = reply.arguments()
            available = bool(value.variant() if isinstance(value, QDBusVariant) else value)
        else:
            # Where nobody is asked this waits for nobody: it looks for an older kind of tray.
            nobody = reply.errorName() in NOBODY
            available = nobody and QSystemTrayIcon.isSystemTrayAvailable()
        if available:
            self._look_again.stop()
        else:
            self._look_again.start()
        if available != self.available:
            self.available = available
            self.changed.emit(available)
