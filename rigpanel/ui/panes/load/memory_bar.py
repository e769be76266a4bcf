# SPDX-License-Identifier: MIT
"""One device's memory as a stacked bar: what the model takes, what others hold, what is free."""

from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from rigpanel.fit.result import Use
from rigpanel.ui import words
from rigpanel.ui.style import mix
from rigpanel.ui.theme import Theme

LINE_H, BAR_H, THIN_H, GAP = 18, 14, 5, 3
RADIUS = 4.0
STRENGTHS = (1.0, 0.6, 0.32)
"""How strong weights, KV cache and compute buffer are drawn in the device's colour."""
LEFT, RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
MIDDLE = Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True, slots=True)
class BarFacts:
    """What one bar shows."""

    label: str
    use: Use
    usable_mib: float | None
    """What the model may take; None where it is not known."""
    total_mib: float | None
    """All the memory there is; None where it is not known."""
    others: tuple[tuple[str, float], ...] = ()
    """Other programs and the MiB they hold."""
    margin_mib: float = 0.0
    """What a person wants kept free."""
    loaded: Use | None = None
    """What a load of this model has really taken."""
    colour: str = ""
    """Empty is that of the host."""

    @property
    def short_mib(self) -> float:
        """How much is missing; 0 where it fits or nobody knows."""
        if self.usable_mib is None or self.use.total_mib <= 0:
            return 0.0
        return max(self.use.total_mib - self.usable_mib, 0.0)

    @property
    def layers(self) -> str:
        """The layers that lie here."""
        if self.use.output:
            return f"{words.layers(self.use.layers)} + output"
        return words.layers(self.use.layers) if self.use.layers else "no layers"

    @property
    def room(self) -> str:
        """What stays free, or what is missing."""
        if self.usable_mib is None:
            return "free memory unknown"
        if self.short_mib > 0:
            return f"{words.file_size(self.short_mib)} short"
        return f"{words.file_size(self.usable_mib - self.use.total_mib)} to spare"

    def tip(self) -> str:
        """Return every figure, a line each."""
        lines = [self.label, _parts("Estimated", self.use)]
        if self.loaded is not None:
            lines.append(_parts("Really allocated", self.loaded))
        if self.usable_mib is not None:
            lines.append(f"Free for a model: {words.file_size(self.usable_mib)}")
        if self.margin_mib:
            lines.append(f"Kept free (a setting): {words.file_size(self.margin_mib)}")
        lines += [f"Held by {name}: {words.file_size(mib)}" for name, mib in self.others]
        return "\n".join(lines)


def _parts(what: str, use: Use) -> str:
    weights, kv, compute, total = (
        words.file_size(mib)
        for mib in (use.weights_mib, use.kv_mib, use.compute_mib, use.total_mib)
    )
    return f"{what}: {total} (weights {weights}, KV cache {kv}, compute {compute})"


class MemoryBar(QWidget):
    """Name and figure above the bar, layers and room below it; the parts are in its tooltip."""

    def __init__(self, theme: Theme, facts: BarFacts) -> None:
        super().__init__()
        self._theme = theme
        self.facts = facts
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_facts(theme, facts)

    def show_facts(self, theme: Theme, facts: BarFacts) -> None:
        """Show other figures, or the same in another theme."""
        if (facts.loaded is None) != (self.facts.loaded is None):
            self.updateGeometry()
        self._theme, self.facts = theme, facts
        tip = facts.tip()
        self.setToolTip(tip)
        self.setAccessibleName(f"{facts.label}: {facts.layers}, {facts.room}")
        self.setAccessibleDescription(tip)
        self.update()

    def sizeHint(self) -> QSize:
        """Return the height of its lines; any width will do."""
        thin = THIN_H + 2 if self.facts.loaded is not None else 0
        return QSize(160, 2 * LINE_H + BAR_H + 3 * GAP + thin)

    def minimumSizeHint(self) -> QSize:
        """Return the same: nothing of it can be left out."""
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw it whole."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        facts, theme, width = self.facts, self._theme, float(self.width())
        total = facts.use.total_mib
        of_all = "" if facts.total_mib is None else f" of {words.gib(facts.total_mib)}"
        small = total < 1024 or not of_all
        amount = words.file_size(total) if small else f"{total / 1024:.1f}"
        self._line(painter, 0.0, facts.label, f"{amount}{of_all}", theme.text)
        top = LINE_H + GAP
        self._bar(painter, QRectF(0, top, width, BAR_H))
        if facts.loaded is not None:
            top += BAR_H + 2
            self._loaded(painter, QRectF(0, top, width, THIN_H), facts.loaded)
            top += THIN_H - BAR_H
        colour = theme.hot if facts.short_mib > 0 else theme.text_muted
        layers = facts.layers
        if facts.loaded is not None:
            layers = f"loaded {words.file_size(facts.loaded.total_mib)} · {layers}"
        self._line(painter, top + BAR_H + GAP, layers, facts.room, colour)
        painter.end()

    def _line(self, painter: QPainter, top: float, left: str, right: str, colour: str) -> None:
        """Write a line: what is on the right is whole, what is on the left gives way."""
        font = self.font()
        font.setPixelSize(12)
        painter.setFont(font)
        room = QRectF(0, top, self.width(), LINE_H)
        painter.setPen(QColor(colour))
        painter.drawText(room, RIGHT | MIDDLE, right)
        taken = painter.fontMetrics().horizontalAdvance(right) + 8
        muted = self._theme.text if top == 0 else self._theme.text_muted
        painter.setPen(QColor(muted))
        cut = painter.fontMetrics().elidedText(
            left, Qt.TextElideMode.ElideRight, round(room.width() - taken)
        )
        painter.drawText(room, LEFT | MIDDLE, cut)

    @property
    def _whole_mib(self) -> float:
        """What the bar's whole width stands for."""
        facts = self.facts
        held = sum(mib for _name, mib in facts.others)
        return max(facts.total_mib or facts.usable_mib or 0.0, facts.use.total_mib + held, 1.0)

    def _strengths(self) -> tuple[str, ...]:
        colour = self.facts.colour or self._theme.text_muted
        return tuple(mix(colour, self._theme.surface, strength) for strength in STRENGTHS)

    def _bar(self, painter: QPainter, room: QRectF) -> None:
        facts, theme = self.facts, self._theme
        painter.save()
        shape = QPainterPath()
        shape.addRoundedRect(room, RADIUS, RADIUS)
        painter.setClipPath(shape)
        painter.fillRect(room, QColor(theme.background))
        scale = room.width() / self._whole_mib
        end = self._stack(painter, room, facts.use, scale)
        held = scale * sum(mib for _name, mib in facts.others)
        others = QRectF(room.right() - held, room.top(), held, room.height())
        painter.fillRect(others, QColor(mix(theme.lost, theme.surface, 0.45)))
        if facts.short_mib > 0:
            over = min(scale * facts.short_mib, end)
            missing = QRectF(end - over, room.top(), over, room.height())
            painter.fillRect(missing, QColor(mix(theme.hot, theme.surface, 0.55)))
            painter.fillRect(missing, Qt.BrushStyle.BDiagPattern)
        painter.restore()
        painter.setPen(QColor(theme.hot if facts.short_mib > 0 else theme.border))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(room.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)

    def _stack(self, painter: QPainter, room: QRectF, use: Use, scale: float) -> float:
        left = room.left()
        parts = (use.weights_mib, use.kv_mib, use.compute_mib)
        for mib, colour in zip(parts, self._strengths(), strict=True):
            wide = mib * scale
            painter.fillRect(QRectF(left, room.top(), wide, room.height()), QColor(colour))
            left += wide
        return left

    def _loaded(self, painter: QPainter, room: QRectF, loaded: Use) -> None:
        painter.fillRect(room, QColor(self._theme.background))
        self._stack(painter, room, loaded, room.width() / self._whole_mib)


class Legend(QWidget):
    """What the strengths of a colour mean, in one line."""

    NAMES = ("weights", "KV cache", "compute", "others")

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setFixedHeight(LINE_H)
        self.setAccessibleName("From strong to faint: " + ", ".join(self.NAMES))

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw a swatch and a word for each part."""
        theme = self._theme
        painter = QPainter(self)
        font = self.font()
        font.setPixelSize(11)
        painter.setFont(font)
        shades = [mix(theme.card(0), theme.surface, strength) for strength in STRENGTHS]
        shades.append(mix(theme.lost, theme.surface, 0.45))
        left = 0
        for name, shade in zip(self.NAMES, shades, strict=True):
            painter.fillRect(QRectF(left, LINE_H / 2 - 4, 8, 8), QColor(shade))
            painter.setPen(QColor(theme.text_muted))
            wide = painter.fontMetrics().horizontalAdvance(name)
            painter.drawText(QRectF(left + 12, 0, wide + 2, LINE_H), LEFT | MIDDLE, name)
            left += wide + 22
        painter.end()
