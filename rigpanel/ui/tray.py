# SPDX-License-Identifier: MIT
"""The tray icon: the hottest card's temperature, a summary, and the way back to the window."""

from PySide6.QtCore import QObject, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QAction, QColor, QFont, QFontMetrics, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.ui import words
from rigpanel.ui.tray_host import TrayHost
from rigpanel.watch.tick import Tick

SIZES_PX = (22, 24, 32, 48, 64)
CALM, ALARM, UNKNOWN = "#2b3240", "#d1242f", "#5b6472"
LARGEST_SIGN, MARGIN = 0.68, 0.1


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
        self._badge: tuple[str, bool] = ("?", False)
        self._picture = draw_icon(*self._badge)
        self._tooltip = "rigpanel"
        self._engine = "No model is loaded"
        # WORKAROUND: an icon made before the tray's host never registers (seen with Qt 6.12), so
        # one is made when the host is there, and anew for every host.
        self._host = TrayHost(self)
        self._host.changed.connect(self._follow_host)
        self._host.look()

    @property
    def available(self) -> bool:
        """Whether a person can find the icon now."""
        return self._icon is not None

    @property
    def tooltip(self) -> str:
        """The summary, a line each: simulated or not, the cards, alerts that stand, the engine."""
        return self._tooltip

    @property
    def badge(self) -> tuple[str, bool]:
        """What the icon says: the hottest card's temperature, and whether an alert stands."""
        return self._badge

    def close(self) -> None:
        """Take the icon away for good."""
        self._host.close()
        self._drop()
        self._menu.deleteLater()

    @Slot(bool)
    def _follow_host(self, there: bool) -> None:
        """Make the icon when a tray comes, drop it when the tray goes."""
        self._drop()
        if there:
            self._make()
        self.available_changed.emit(there)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        temperatures = [
            gpu.temperature_c
            for gpu in tick.snapshot.cards
            if not isinstance(gpu.temperature_c, Missing)
        ]
        badge = (f"{max(temperatures):.0f}" if temperatures else "?", bool(tick.standing))
        if badge != self._badge:
            self._badge = badge
            self._picture = draw_icon(*badge)
            if self._icon is not None:
                self._icon.setIcon(self._picture)
        lines = [_line(gpu) for gpu in tick.snapshot.cards] or ["No GPU can be read"]
        if tick.snapshot.simulated:
            lines.insert(0, "Simulated rig")
        lines += [alert.sentence.split(". ")[0] for alert in tick.standing]
        tooltip = "\n".join([*lines, self._engine])
        if tooltip != self._tooltip:
            self._tooltip = tooltip
            if self._icon is not None:
                self._icon.setToolTip(tooltip)

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
        self._icon = QSystemTrayIcon(self)
        self._icon.setContextMenu(self._menu)
        self._icon.activated.connect(self._activated)
        self._icon.setIcon(self._picture)
        self._icon.setToolTip(self._tooltip)
        self._icon.show()

    def _drop(self) -> None:
        if self._icon is not None:
            self._icon.hide()
            self._icon.deleteLater()
            self._icon = None

    @Slot(QSystemTrayIcon.ActivationReason)
    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason is not QSystemTrayIcon.ActivationReason.Context:
            self.show_requested.emit()


def draw_icon(text: str, alarm: bool) -> QIcon:
    """Return a badge with two or three signs in it; its own ground reads on any panel."""
    icon = QIcon()
    for size_px in SIZES_PX:
        pixmap = QPixmap(size_px, size_px)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(ALARM if alarm else UNKNOWN if text == "?" else CALM))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(QRectF(0, 0, size_px, size_px), size_px * 0.22, size_px * 0.22)
        font = QFont(painter.font())
        font.setWeight(QFont.Weight.DemiBold)
        font.setPixelSize(round(size_px * LARGEST_SIGN))
        while QFontMetrics(font).horizontalAdvance(text) > size_px * (1 - MARGIN):
            font.setPixelSize(font.pixelSize() - 1)
        painter.setFont(font)
        painter.setPen(QColor("#ffffff"))
        painter.drawText(pixmap.rect(), Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        icon.addPixmap(pixmap)
    return icon


def _line(gpu: GpuSample) -> str:
    if gpu.lost:
        return f"{gpu.label}: {words.WORDS[Missing.GPU_LOST]}"
    parts = [
        f"{name} {words.WORDS[value]}" if isinstance(value, Missing) else form.format(value)
        for name, value, form in (
            ("temperature", gpu.temperature_c, "{:.0f} °C"),
            ("power", gpu.power_draw_w, "{:.0f} W"),
        )
    ]
    return f"{gpu.label}: {', '.join([*parts, words.cooling(gpu)])}"
