# SPDX-License-Identifier: MIT
"""The rig strip: a tile per card along the top, always there."""

from collections import deque

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QWidget

from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.settings import HOT_C, SettingsStore
from rigpanel.ui import words
from rigpanel.ui.theme import Theme
from rigpanel.ui.words import CardState
from rigpanel.watch.tick import Tick

SPARK_S = 60.0
TILE_W, TILE_H = 232, 76
SPARK_C = (25.0, 100.0)


class CardTile(QWidget):
    """One card at a glance: name, state, temperature, watts, fans, memory, one minute behind."""

    def __init__(self, place: int, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._place = place
        self._theme = theme
        self._gpu: GpuSample | None = None
        self._state = CardState.UNKNOWN
        self._past: deque[tuple[float, float | None]] = deque(maxlen=1200)
        self.setMinimumSize(QSize(TILE_W, TILE_H))
        self.setMaximumWidth(360)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self.update()

    def show_sample(self, gpu: GpuSample, at_s: float, hot_c: float) -> None:
        """Take one reading of the card."""
        self._gpu = gpu
        self._state = words.card_state(gpu, hot_c)
        known = None if isinstance(gpu.temperature_c, Missing) else gpu.temperature_c
        self._past.append((at_s, known))
        while self._past and self._past[0][0] < at_s - SPARK_S:
            self._past.popleft()
        self.setAccessibleName(f"{gpu.label}: {self._state.value}, {self.summary()}")
        self.update()

    @property
    def state(self) -> CardState:
        """The state the tile shows."""
        return self._state

    def summary(self) -> str:
        """Return the tile's figures as one line."""
        gpu = self._gpu
        if gpu is None:
            return ""
        if gpu.lost:
            return "The driver has lost this card"
        limit = gpu.power_limit_w
        power = words.reading(gpu.power_draw_w, "{:.0f} W")
        if not isinstance(limit, Missing) and not isinstance(gpu.power_draw_w, Missing):
            power = f"{gpu.power_draw_w:.0f} of {limit:.0f} W"
        return f"{power}  ·  fans {words.fans(gpu)}"

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the tile."""
        gpu, theme = self._gpu, self._theme
        if gpu is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        state = QColor(state_colour(self._state, theme))
        calm = self._state in {CardState.OK, CardState.UNKNOWN}
        painter.setPen(QPen(QColor(theme.border) if calm else state, 1))
        painter.setBrush(QColor(theme.surface))
        painter.drawRoundedRect(frame, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.card(self._place)))
        painter.drawRoundedRect(QRectF(10, 12, 4, 16), 2, 2)
        self._sparkline(painter, QRectF(self.width() - 92, 30, 80, 26))
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        middle = Qt.AlignmentFlag.AlignVCenter
        width = self.width()
        _text(painter, QRectF(20, 10, width - 120, 20), gpu.label, theme.text, 13, left | middle)
        word = self._state.value
        _text(painter, QRectF(width - 102, 10, 90, 20), word, state.name(), 12, right | middle)
        hottest = words.reading(gpu.temperature_c, "{:.0f} °C")
        size = 20 if not isinstance(gpu.temperature_c, Missing) else 13
        temperature = QRectF(12, 31, 92, 24)
        _text(painter, temperature, hottest, theme.text, size, left | middle, bold=True)
        _text(
            painter, QRectF(12, 54, width - 24, 16), self.summary(), theme.text_muted, 11,
            left | middle,
        )  # fmt: skip
        self._memory(painter, gpu)

    def _memory(self, painter: QPainter, gpu: GpuSample) -> None:
        used, total = gpu.memory_used_mib, gpu.memory_total_mib
        bar = QRectF(12, self.height() - 6, self.width() - 24, 3)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.grid))
        painter.drawRoundedRect(bar, 1.5, 1.5)
        if isinstance(used, Missing) or isinstance(total, Missing) or total <= 0:
            self.setToolTip(f"{gpu.label}\nMemory: {words.reading(used, '{:.0f} MiB')}")
            return
        self.setToolTip(f"{gpu.label}\nMemory: {used:.0f} of {total:.0f} MiB")
        bar.setWidth(bar.width() * min(1.0, used / total))
        painter.setBrush(QColor(self._theme.card(self._place)))
        painter.drawRoundedRect(bar, 1.5, 1.5)

    def _sparkline(self, painter: QPainter, area: QRectF) -> None:
        if not self._past:
            return
        now = self._past[-1][0]
        low, high = SPARK_C
        line = QPolygonF()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(self._theme.card(self._place)), 1.4))
        for at_s, temperature_c in (*self._past, (now, None)):
            if temperature_c is None:
                painter.drawPolyline(line)
                line = QPolygonF()
                continue
            x = area.right() - (now - at_s) / SPARK_S * area.width()
            share = min(max((temperature_c - low) / (high - low), 0.0), 1.0)
            line.append(QPointF(x, area.bottom() - share * area.height()))


def state_colour(state: CardState, theme: Theme) -> str:
    """Return the colour of a state's word."""
    return {
        CardState.OK: theme.ok,
        CardState.WARM: theme.warm,
        CardState.HOT: theme.hot,
        CardState.THROTTLING: theme.throttling,
        CardState.LOST: theme.lost,
        CardState.UNKNOWN: theme.text_muted,
    }[state]


def _text(
    painter: QPainter,
    area: QRectF,
    text: str,
    colour: str,
    size_px: int,
    align: Qt.AlignmentFlag,
    *,
    bold: bool = False,
) -> None:
    font = QFont(painter.font())
    font.setPixelSize(size_px)
    font.setWeight(QFont.Weight.DemiBold if bold or size_px > 12 else QFont.Weight.Normal)
    painter.setFont(font)
    painter.setPen(QColor(colour))
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(area.width()))
    painter.drawText(area, int(align), shown)


class RigStrip(QScrollArea):
    """The tiles of all cards, side by side; many cards scroll."""

    def __init__(
        self, settings: SettingsStore, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._theme = theme
        self.tiles: dict[str, CardTile] = {}
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        self._row = QHBoxLayout(inside)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self._empty = QLabel("Looking for cards…")
        self._empty.setObjectName("muted")
        self._row.addWidget(self._empty)
        self._row.addStretch(1)
        self.setWidget(inside)
        self.setFixedHeight(TILE_H + 2)

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        for tile in self.tiles.values():
            tile.set_theme(theme)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        hot_c = self._settings.get(HOT_C)
        cards = tick.snapshot.cards
        if {gpu.uuid for gpu in cards} != set(self.tiles):
            self._set_cards([gpu.uuid for gpu in cards])
        if not cards:
            host = tick.snapshot.host
            self._empty.setText(
                "No NVIDIA card.  Host: CPU "
                + words.reading(host.cpu_pct, "{:.0f} %")
                + ", memory "
                + words.reading(host.memory_used_mib, "{:.0f} MiB")
                + " used"
            )
        for gpu in cards:
            self.tiles[gpu.uuid].show_sample(gpu, tick.monotonic_s, hot_c)

    def _set_cards(self, uuids: list[str]) -> None:
        for uuid in set(self.tiles) - set(uuids):
            self.tiles.pop(uuid).deleteLater()
        for place, uuid in enumerate(uuids):
            if uuid not in self.tiles:
                self.tiles[uuid] = CardTile(place, self._theme)
                self._row.insertWidget(place, self.tiles[uuid], 4)
        self._empty.setVisible(not uuids)
        tall = len(uuids) > 4
        self.setFixedHeight(TILE_H + (12 if tall else 2))
