# SPDX-License-Identifier: MIT
"""Prefill and decode of the chat as shaded spans on a time axis."""

from typing import TypeAlias

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from rigpanel.ui.theme import Theme
from rigpanel.watch.phases import PhaseKind, PhaseLog

WASH_ALPHA = {PhaseKind.PREFILL: 64, PhaseKind.DECODE: 30}
STRIP_PX = 3.0
"""A solid edge along the top, so that the two can be told apart where the wash is faint."""


Span: TypeAlias = tuple[PhaseKind, float, float]
"""What the model did, and from when to when in the axis's seconds before now."""


class PhaseBands(pg.GraphicsObject):  # type: ignore[misc]  # pyqtgraph carries no types
    """The shading of one chart, behind its lines."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setZValue(-20)
        self.spans: tuple[Span, ...] = ()
        self._colours: dict[PhaseKind, QColor] = {}
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Take the shades of a theme."""
        self._colours = {
            PhaseKind.PREFILL: QColor(theme.prefill),
            PhaseKind.DECODE: QColor(theme.decode),
        }
        self.update()

    def set_spans(self, spans: tuple[Span, ...]) -> None:
        """Shade these spans."""
        if spans != self.spans:
            self.spans = spans
            self.update()

    def viewRangeChanged(self) -> None:
        """Cover the view as it is now."""
        self.prepareGeometryChange()

    def boundingRect(self) -> QRectF:
        """Cover the whole view."""
        return QRectF(self.viewRect())

    def paint(
        self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None
    ) -> None:
        """Fill each span, and draw its edge."""
        if not self.spans:
            return
        view = QRectF(self.viewRect())
        strip = STRIP_PX * self.getViewBox().viewPixelSize()[1]
        for kind, start, end in self.spans:
            colour = self._colours[kind]
            left, right = max(start, view.left()), min(end, view.right())
            if right <= left:
                continue
            wash = QColor(colour)
            wash.setAlpha(WASH_ALPHA[kind])
            painter.fillRect(QRectF(QPointF(left, view.top()), QPointF(right, view.bottom())), wash)
            painter.fillRect(
                QRectF(QPointF(left, view.bottom() - strip), QPointF(right, view.bottom())), colour
            )


def spans_before(phases: PhaseLog | None, now_s: float, span_s: float) -> tuple[Span, ...]:
    """Return what the model did in the `span_s` seconds before `now_s` (`time.monotonic`)."""
    if phases is None:
        return ()
    found = []
    for phase in phases.since(now_s - span_s):
        begin = phase.begin_s - now_s
        end = 0.0 if phase.end_s is None else min(phase.end_s - now_s, 0.0)
        if end > begin:
            found.append((phase.kind, begin, end))
    return tuple(found)
