# SPDX-License-Identifier: MIT
"""A few lines of small facts, `VRAM 20.3 / 24.0 GiB`, each at a place that does not move."""

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from rigpanel.ui.charts.text import tabular
from rigpanel.ui.theme import Theme

FONT_PX = 12
GAP_PX = 13
INNER_PX = 5


class FactsLine(QWidget):
    """Names and values painted in one go: labels in a layout would be measured on every tick."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFont(tabular(FONT_PX))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.facts: tuple[tuple[str, str], ...] = ()
        self._widths: dict[str, int] = {}
        self.places: list[QRect] = []
        self._theme = theme
        self._lay_out()

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme
        self.update()

    def set_facts(self, facts: tuple[tuple[str, str], ...]) -> None:
        """Show these names and values; a value's place only ever grows, so nothing jumps."""
        if facts == self.facts:
            return
        metrics = QFontMetrics(self.font())
        names = [name for name, _ in facts]
        moved = names != [name for name, _ in self.facts]
        for name, value in facts:
            width = metrics.horizontalAdvance(name + value) + INNER_PX
            if width > self._widths.get(name, 0):
                self._widths[name] = width
                moved = True
        self.facts = facts
        self.setAccessibleName(self.text())
        if moved:
            self._lay_out()
        self.update()

    def text(self) -> str:
        """Everything shown, in reading order."""
        return " · ".join(f"{name} {value}" for name, value in self.facts)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Flow into as many lines as the width needs."""
        super().resizeEvent(event)
        self._lay_out()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw names muted and values plain."""
        painter = QPainter(self)
        metrics = painter.fontMetrics()
        for (name, value), place in zip(self.facts, self.places, strict=True):
            painter.setPen(QColor(self._theme.text_muted))
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, name)
            painter.setPen(QColor(self._theme.text))
            shift = metrics.horizontalAdvance(name) + INNER_PX
            painter.drawText(place.adjusted(shift, 0, 8, 0), Qt.AlignmentFlag.AlignVCenter, value)
        painter.end()

    def _lay_out(self) -> None:
        line_px = QFontMetrics(self.font()).height() + 3
        x = y = 0
        self.places = []
        for name, _ in self.facts:
            width = self._widths[name]
            if x and x + width > self.width():
                x, y = 0, y + line_px
            self.places.append(QRect(x, y, width, line_px))
            x += width + GAP_PX
        if self.height() != y + line_px or self.minimumHeight() != y + line_px:
            self.setFixedHeight(y + line_px)
