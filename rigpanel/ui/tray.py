# SPDX-License-Identifier: MIT
"""The tray icon: the hottest card's temperature, a summary, and the way back to the window."""

from PySide6.QtCore import QObject, QRectF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QColor, QFont, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.watch.tick import Tick

SIZE_PX = 64
CALM, ALARM, UNKNOWN = "#2b3240", "#d1242f", "#5b6472"
LOOK_AGAIN_MS = 2000


class Tray(QObject):
    """An icon while there is a tray to hold it; made anew when a tray appears later."""

    show_requested = Signal()
    quit_requested = Signal()
    available_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._menu = QMenu()
        self._menu.addAction(self._action("Show rigpanel", self.show_requested))
        self._menu.addSeparator()
        self._menu.addAction(self._action("Quit", self.quit_requested))
        self._icon: QSystemTrayIcon | None = None
        self._picture = draw_icon(None, alarm=False)
        self._tooltip = "rigpanel"
        self._engine = "No model is loaded"
        # WORKAROUND: an icon made before the tray's host never registers, and Qt has no signal for
        # a host that comes later (seen with Qt 6.12): look again, and make the icon anew.
        self._look_again = QTimer(self)
        self._look_again.setInterval(LOOK_AGAIN_MS)
        self._look_again.timeout.connect(self._follow_host)
        self._look_again.start()
        self._make()

    @property
    def available(self) -> bool:
        """Whether a person can find the icon now."""
        return self._icon is not None

    def close(self) -> None:
        """Take the icon away for good."""
        self._look_again.stop()
        self._drop()
        self._menu.deleteLater()

    @Slot()
    def _follow_host(self) -> None:
        if QSystemTrayIcon.isSystemTrayAvailable() != self.available:
            self._make()

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        temperatures = [
            gpu.temperature_c
            for gpu in tick.snapshot.cards
            if not isinstance(gpu.temperature_c, Missing)
        ]
        self._picture = draw_icon(
            max(temperatures) if temperatures else None, alarm=bool(tick.standing)
        )
        lines = [_line(gpu) for gpu in tick.snapshot.cards] or ["No GPU can be read"]
        if tick.snapshot.simulated:
            lines.insert(0, "Simulated rig")
        lines += [alert.sentence.split(". ")[0] for alert in tick.standing]
        self._tooltip = "\n".join([*lines, self._engine])
        self._show()

    @Slot(object)
    def take_status(self, status: EngineStatus) -> None:
        """Show what the engine does, from the next reading on."""
        name = "" if status.model is None else status.model.name
        self._engine = {
            EngineState.STOPPED: status.problem or "No model is loaded",
            EngineState.EMPTY: "No model is loaded",
            EngineState.LOADING: "Loading a model",
            EngineState.READY: f"{name} is loaded",
            EngineState.GENERATING: f"{name} is writing",
        }[status.state]

    def _action(self, text: str, signal: object) -> QAction:
        action = QAction(text, self)
        action.triggered.connect(signal)
        return action

    def _make(self) -> None:
        self._drop()
        if QSystemTrayIcon.isSystemTrayAvailable():
            self._icon = QSystemTrayIcon(self)
            self._icon.setContextMenu(self._menu)
            self._icon.activated.connect(self._activated)
            self._show()
            self._icon.show()
        self.available_changed.emit(self.available)

    def _drop(self) -> None:
        if self._icon is not None:
            self._icon.hide()
            self._icon.deleteLater()
            self._icon = None

    def _show(self) -> None:
        if self._icon is not None:
            self._icon.setIcon(self._picture)
            self._icon.setToolTip(self._tooltip)

    @Slot(QSystemTrayIcon.ActivationReason)
    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is not QSystemTrayIcon.ActivationReason.Context:
            self.show_requested.emit()


def draw_icon(temperature_c: float | None, *, alarm: bool) -> QIcon:
    """Return a badge with the temperature in it; its own ground reads on any panel."""
    pixmap = QPixmap(SIZE_PX, SIZE_PX)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    ground = ALARM if alarm else UNKNOWN if temperature_c is None else CALM
    painter.setBrush(QColor(ground))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawRoundedRect(QRectF(1, 1, SIZE_PX - 2, SIZE_PX - 2), 14, 14)
    font = QFont(painter.font())
    text = "?" if temperature_c is None else f"{temperature_c:.0f}"
    font.setPixelSize(44 if len(text) < 3 else 32)
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(QColor("#ffffff"))
    painter.drawText(pixmap.rect(), Qt.AlignmentFlag.AlignCenter, text)
    painter.end()
    return QIcon(pixmap)


def _line(gpu: GpuSample) -> str:
    parts = []
    for value, form in ((gpu.temperature_c, "{:.0f} °C"), (gpu.power_draw_w, "{:.0f} W")):
        word = value.value.replace("_", " ") if isinstance(value, Missing) else form.format(value)
        if word not in parts:
            parts.append(word)
    if not isinstance(gpu.fans, Missing):
        duties = [f.duty_pct for f in gpu.fans if not isinstance(f.duty_pct, Missing)]
        if duties:
            parts.append(f"fans {max(duties):.0f} %")
    return f"{gpu.label}: {', '.join(parts)}"
