# SPDX-License-Identifier: MIT
"""Desktop notifications, straight through org.freedesktop.Notifications.

QSystemTrayIcon.showMessage is not used: it is dropped where no tray host runs, and it swaps the
tray icon for an information icon while it shows. QtDBus is not used for the call, because from
Python it cannot send the unsigned number that Notify begins with; dbus-fast runs on the same loop.
"""

import asyncio
import html
import logging
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Slot

from rigpanel.watch.alerts import Alert, AlertKind, Transition
from rigpanel.watch.tick import Tick

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

SERVICE = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
STAYS_MS, PASSES_MS = 0, 10_000
NORMAL, CRITICAL = 1, 2
ANSWER_S = 5.0
LAST_WORDS_S = 1.0

log = logging.getLogger(__name__)


class Notifier(QObject):
    """Shows each alert while it stands, and says when it is over; nothing waits for it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.enabled = True
        self._bus: MessageBus | None = None
        self._shown: dict[tuple[AlertKind, str], int] = {}
        self._told = False
        self._queue: asyncio.Queue[tuple[Transition, bool]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show what a tick raised and cleared."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._show_all())
        for transition in tick.transitions:
            # What was shown is taken back even when notifications were switched off meanwhile.
            if self.enabled or (transition.alert.kind, transition.alert.uuid) in self._shown:
                self._queue.put_nowait((transition, tick.snapshot.simulated))

    async def close(self) -> None:
        """Take back alerts that nobody watches any more, and let go of the bus."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                for shown in self._shown.values():
                    await self._call("CloseNotification", "u", [shown])
        except Exception as error:  # noqa: BLE001 - a bus or daemon may fail in any way
            log.info("notifications were left standing (%r)", error)
        self._shown.clear()
        self._let_go()

    def _let_go(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    async def _show_all(self) -> None:
        while True:
            transition, simulated = await self._queue.get()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._show(transition, simulated=simulated)
            except Exception as error:  # noqa: BLE001 - a bus or daemon may fail in any way
                self._let_go()
                if not self._told:
                    log.warning("no desktop notifications (%r); window and tray show them", error)
                    self._told = True

    async def _show(self, transition: Transition, *, simulated: bool) -> None:
        alert = transition.alert
        mark = " (simulated)" if simulated else ""
        if transition.raised:
            await self._notify(
                alert, f"{alert.card} {_BEGIN[alert.kind]}{mark}", alert.sentence, CRITICAL
            )
        else:
            lasted_s = (alert.cleared_at_s or alert.raised_at_s) - alert.raised_at_s
            body = f"The alert is over; it lasted {_duration(lasted_s)}."
            await self._notify(alert, f"{alert.card} {_END[alert.kind]}{mark}", body, NORMAL)

    async def _notify(self, alert: Alert, title: str, body: str, urgency: int) -> None:
        from dbus_fast import Variant

        key = (alert.kind, alert.uuid)
        hints = {"urgency": Variant("y", urgency), "desktop-entry": Variant("s", "rigpanel")}
        expires_ms = STAYS_MS if urgency == CRITICAL else PASSES_MS
        arguments = ["rigpanel", self._shown.pop(key, 0), "rigpanel", title]
        arguments += [html.escape(body, quote=False), [], hints, expires_ms]
        (shown,) = await self._call("Notify", "susssasa{sv}i", arguments)
        if urgency == CRITICAL:
            self._shown[key] = int(shown)

    async def _call(self, member: str, signature: str, arguments: list[Any]) -> list[Any]:
        from dbus_fast import BusType, Message, MessageType
        from dbus_fast.aio import MessageBus

        if self._bus is None or not self._bus.connected:
            self._bus = await MessageBus(bus_type=BusType.SESSION).connect()
        reply = await self._bus.call(
            Message(
                destination=SERVICE,
                path=PATH,
                interface=SERVICE,
                member=member,
                signature=signature,
                body=arguments,
            )
        )
        if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
            raise ConnectionError(None if reply is None else reply.body)
        return list(reply.body)


_BEGIN = {AlertKind.HOT: "is too hot", AlertKind.LOST: "is lost"}
_END = {AlertKind.HOT: "has cooled down", AlertKind.LOST: "is back"}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
