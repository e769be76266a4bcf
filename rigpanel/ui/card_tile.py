# SPDX-License-Identifier: MIT
"""One card at a glance: a tile of the rig strip, drawn whole in three widths."""

from collections import deque
from itertools import groupby

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.ui import words
from rigpanel.ui.theme import Theme
from rigpanel.ui.words import CardState

SPARK_S = 60.0
SPARK_C = (25.0, 95.0)
LEAST_W, COMPACT_BELOW_W, WIDE_FROM_W = 138, 216, 400
TILE_H = 84
PAD = 12.0
LEFT, RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
MIDDLE = Qt.AlignmentFlag.AlignVCenter


class CardTile(QWidget):
    """Name, state, temperature, watts, fans, memory, and the temperature of one minute."""

    def __init__(self, place: int, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._place = place
        self._theme = theme
        self._gpu: GpuSample | None = None
        self._state = CardState.UNKNOWN
        self._past: deque[tuple[float, float | None]] = deque(maxlen=1200)
        self.setMinimumSize(QSize(LEAST_W, TILE_H))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self.update()

    def show_sample(self, gpu: GpuSample, place: int, at_s: float, hot_c: float) -> None:
        """Take one reading of the card that stands at `place` in the rig."""
        self._gpu = gpu
        self._place = place
        self._state = words.card_state(gpu, hot_c)
        known = None if isinstance(gpu.temperature_c, Missing) else gpu.temperature_c
        self._past.append((at_s, known))
        while self._past and self._past[0][0] < at_s - SPARK_S:
            self._past.popleft()
        memory = f"memory {words.memory(gpu)}"
        temperature = words.reading(gpu.temperature_c, "{:.0f} °C")
        self.setAccessibleName(f"{gpu.label}: {self._state.value}, {temperature}, {self.summary()}")
        self.setToolTip(f"{gpu.label} ({self._state.value})\n{self.summary()}\n{memory}")
        self.update()

    @property
    def state(self) -> CardState:
        """The state the tile shows."""
        return self._state

    def summary(self) -> str:
        """Return power and fans as one line."""
        gpu = self._gpu
        if gpu is None:
            return ""
        if gpu.lost:
            return "The driver has lost this card"
        watts = words.power(gpu)
        name = "power " if isinstance(gpu.power_draw_w, Missing) else ""
        return f"{name}{watts} · {words.cooling(gpu)}"

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the tile."""
        if self._gpu is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._frame(painter)
        self._heading(painter, self._gpu)
        if self.width() >= WIDE_FROM_W:
            self._wide(painter, self._gpu)
        else:
            self._narrow(painter, self._gpu)
        self._memory_bar(painter, self._gpu)
        painter.end()

    @property
    def _colour(self) -> QColor:
        return QColor(self._theme.lost if self._gone else self._theme.card(self._place))

    @property
    def _gone(self) -> bool:
        return self._gpu is not None and self._gpu.lost

    def _frame(self, painter: QPainter) -> None:
        theme = self._theme
        state = QColor(state_colour(self._state, theme))
        calm = self._state in {CardState.OK, CardState.UNKNOWN}
        thick = 1.0 if calm else 2.0
        edge = QRectF(self.rect()).adjusted(thick / 2, thick / 2, -thick / 2, -thick / 2)
        painter.setPen(QPen(QColor(theme.border) if calm else state, thick))
        painter.setBrush(QColor(theme.surface))
        painter.drawRoundedRect(edge, 10, 10)
        if self._state in {CardState.HOT, CardState.THROTTLING}:
            state.setAlpha(26)
            painter.setBrush(state)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRoundedRect(edge, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colour)
        painter.drawRoundedRect(QRectF(PAD, 11, 4, 16), 2, 2)

    def _heading(self, painter: QPainter, gpu: GpuSample) -> None:
        theme, width = self._theme, self.width()
        word = self._state.value
        colour = state_colour(self._state, theme)
        taken = _text(painter, QRectF(width - 112, 9, 100, 20), word, colour, 12, RIGHT, bold=True)
        name = gpu.label if width >= COMPACT_BELOW_W else f"GPU {gpu.index}"
        room = QRectF(PAD + 10, 9, width - 2 * PAD - 18 - taken, 20)
        _text(painter, room, name, theme.text, 13, LEFT, bold=True)

    def _wide(self, painter: QPainter, gpu: GpuSample) -> None:
        theme = self._theme
        self._temperature(painter, gpu, QRectF(PAD, 34, 96, 34))
        if gpu.lost:
            area = QRectF(PAD + 104, 34, self.width() - 130, 34)
            _text(painter, area, self.summary(), theme.text_muted, 12, LEFT)
            return
        left = PAD + 92.0
        for caption, figure, width in (
            ("Power", words.power(gpu), 100.0),
            ("Fans", words.fans(gpu), 64.0),
            ("Memory", words.memory(gpu), 112.0),
        ):
            missing = figure in {*words.WORDS.values(), words.NO_FAN}
            _text(painter, QRectF(left, 35, width, 14), caption, theme.text_muted, 11, LEFT)
            colour = theme.text_muted if missing else theme.text
            place = QRectF(left, 50, width - 4, 18)
            _text(painter, place, figure, colour, 12 if missing else 13, LEFT, bold=not missing)
            left += width
        self._sparkline(painter, QRectF(left + 4, 32, self.width() - left - 4 - PAD, 36))

    def _narrow(self, painter: QPainter, gpu: GpuSample) -> None:
        theme, width = self._theme, self.width()
        compact = width < COMPACT_BELOW_W
        self._temperature(painter, gpu, QRectF(PAD, 30, 84, 26))
        if not gpu.lost:
            self._sparkline(painter, QRectF(PAD + 72, 31, width - 2 * PAD - 72, 22))
        line = self.summary()
        if compact:
            watts = words.reading(gpu.power_draw_w, "{:.0f} W")
            line = "see Alerts" if gpu.lost else f"{watts} · {words.fans(gpu)}"
        area = QRectF(PAD, 55, width - 2 * PAD, 16)
        _text(painter, area, line, theme.text_muted, 11, LEFT)

    def _temperature(self, painter: QPainter, gpu: GpuSample, area: QRectF) -> None:
        known = not isinstance(gpu.temperature_c, Missing)
        figure = words.reading(gpu.temperature_c, "{:.0f} °C")
        alarming = self._state in {CardState.WARM, CardState.HOT}
        colour = state_colour(self._state, self._theme) if alarming else self._theme.text
        big = 24 if self.width() >= WIDE_FROM_W else 20
        _text(painter, area, figure, colour, big if known else 12, LEFT, bold=True)

    def _memory_bar(self, painter: QPainter, gpu: GpuSample) -> None:
        used, total = gpu.memory_used_mib, gpu.memory_total_mib
        if isinstance(used, Missing) or isinstance(total, Missing) or total <= 0:
            return
        bar = QRectF(PAD, TILE_H - 10, self.width() - 2 * PAD, 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._theme.grid))
        painter.drawRoundedRect(bar, 2, 2)
        bar.setWidth(max(4.0, bar.width() * min(1.0, used / total)))
        painter.setBrush(self._colour)
        painter.drawRoundedRect(bar, 2, 2)

    def _sparkline(self, painter: QPainter, area: QRectF) -> None:
        if not self._past or area.width() < 24:
            return
        now = self._past[-1][0]
        low, high = SPARK_C

        def point(at_s: float, temperature_c: float) -> QPointF:
            share = min(max((temperature_c - low) / (high - low), 0.0), 1.0)
            x = area.right() - (now - at_s) / SPARK_S * area.width()
            return QPointF(x, area.bottom() - share * area.height())

        shade = self._colour
        shade.setAlpha(36)
        for known, run in groupby(self._past, key=lambda item: item[1] is not None):
            if not known:
                continue
            line = [point(at_s, value) for at_s, value in run if value is not None]
            ends = [QPointF(end.x(), area.bottom()) for end in (line[-1], line[0])]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shade)
            painter.drawPolygon(QPolygonF([*line, *ends]))
            painter.setPen(QPen(self._colour, 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(QPolygonF(line))


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
    side: Qt.AlignmentFlag,
    *,
    bold: bool = False,
) -> float:
    """Draw one line, cut with an ellipsis where it does not fit; return its width in pixels."""
    font = QFont(painter.font())
    font.setPixelSize(size_px)
    font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    painter.setFont(font)
    painter.setPen(QColor(colour))
    metrics = painter.fontMetrics()
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(area.width()))
    painter.drawText(area, int(side | MIDDLE), shown)
    return float(metrics.horizontalAdvance(shown))
