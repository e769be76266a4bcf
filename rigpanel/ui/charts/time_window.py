# SPDX-License-Identifier: MIT
"""The one time axis that every time chart of every card shows."""

import pyqtgraph as pg
from PySide6.QtCore import QObject, Signal

SPANS_S = (60.0, 300.0, 900.0, 3600.0)


class TimeViewBox(pg.ViewBox):  # type: ignore[misc]  # pyqtgraph carries no types
    """A view whose linked x range is the leader's own, whatever stands where on the screen.

    pyqtgraph's link shifts the range by the pixels between two views that overlap on the screen,
    which is wrong while a layout is being made and never corrected afterwards.
    """

    def linkedViewChanged(self, view: pg.ViewBox | None, axis: int) -> None:
        """Take over the leader's range."""
        if view is None or self.linksBlocked or axis != pg.ViewBox.XAxis:
            return
        self.setXRange(*view.viewRange()[axis], padding=0)


class TimeWindow(QObject):
    """How far back the charts look, whether they are held still, and where the pointer is."""

    span_changed = Signal()
    cursor_moved = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.leader = TimeViewBox(enableMenu=False)
        """Every time chart's x axis is linked to this view."""
        self.span_s = 0.0
        self.held_at_s: float | None = None
        """The moment at the right edge while the charts are held, by `time.monotonic`."""
        self.cursor_s: float | None = None
        """Where the pointer is, in seconds before now (0 or less)."""
        self.set_span(SPANS_S[0])

    def set_span(self, span_s: float) -> None:
        """Show the last `span_s` seconds."""
        if span_s == self.span_s:
            return
        self.span_s = span_s
        self.leader.setXRange(-span_s, 0.0, padding=0)
        self.span_changed.emit()

    def hold(self, now_s: float | None) -> None:
        """Keep `now_s` at the right edge; None follows the present again."""
        self.held_at_s = now_s
        self.span_changed.emit()

    def move_cursor(self, cursor_s: float | None) -> None:
        """Put the crosshair of every chart at `cursor_s` seconds (negative), or take it away."""
        if cursor_s is not None and not -self.span_s <= cursor_s <= 0.0:
            cursor_s = None
        if cursor_s != self.cursor_s:
            self.cursor_s = cursor_s
            self.cursor_moved.emit()
