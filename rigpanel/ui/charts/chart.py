# SPDX-License-Identifier: MIT
"""What every chart of a card has: a caption, a readout, a plot, and a word for a missing value."""

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QColor, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from rigpanel.ui.charts.text import tabular
from rigpanel.ui.theme import Theme

AXIS_PX = 46
TIME_AXIS_PX = 18
RIGHT_PX = 18
"""Room for half of the last label of the axis below."""
SMALL_PX = 11
DASH = "\N{BOX DRAWINGS LIGHT TRIPLE DASH HORIZONTAL}"


class Plot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph carries no types
    """A plot that stays where it is: the wheel scrolls the pane, nothing drags or zooms."""

    def __init__(
        self, view: pg.ViewBox, axes: dict[str, pg.AxisItem], axis_px: int = AXIS_PX
    ) -> None:
        super().__init__(viewBox=view, axisItems=axes)
        self.axis_px = axis_px
        item = self.getPlotItem()
        item.setMenuEnabled(False)
        item.setMouseEnabled(x=False, y=False)
        item.hideButtons()
        item.layout.setContentsMargins(0, 5, RIGHT_PX, 0)
        item.getAxis("left").setWidth(axis_px)
        item.getAxis("bottom").setHeight(TIME_AXIS_PX)
        for side in ("left", "bottom"):
            item.getAxis(side).setStyle(
                tickFont=tabular(SMALL_PX), tickLength=0, tickTextOffset=5, maxTickLevel=0
            )
            item.getAxis(side).setGrid(150)
            item.getAxis(side).setZValue(-1000)  # the grid lies behind what is drawn
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(0, 0)
        self.setFrameShape(Plot.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the pane's scroll bar."""
        event.ignore()


class Chart(QWidget):
    """One chart of one card; `redraw` is called by the pane's timer when `dirty` is set."""

    def __init__(self, caption: str, plot: Plot, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.dirty = True
        self.plot = plot
        self.item = plot.getPlotItem()
        self.caption = QLabel(caption, self)
        self.names = QLabel(self)
        """Names the limit lines, in their colours."""
        self.readout = QLabel(self)
        self.word = QLabel(plot)
        """Says why there is no reading now; hidden while there is one."""
        self.word.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.word.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.word.hide()
        for label in (self.caption, self.names, self.readout, self.word):
            label.setFont(tabular(SMALL_PX))
        self.names.setTextFormat(Qt.TextFormat.RichText)
        self.names.setMinimumWidth(1)  # it gives way
        self._names: list[str] = []
        self.readout.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        top = QHBoxLayout()
        top.setContentsMargins(4, 0, RIGHT_PX, 0)
        top.setSpacing(10)
        top.addWidget(self.caption)
        top.addWidget(self.names)
        top.addWidget(self.readout, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(plot, 1)

    def redraw(self) -> None:
        """Draw what the history holds now."""
        raise NotImplementedError

    def apply_theme(self, theme: Theme) -> None:
        """Take the colours that all charts share."""
        self.plot.setBackground(theme.surface)
        for side in ("left", "bottom"):
            axis = self.item.getAxis(side)
            axis.setPen(pg.mkPen(theme.grid))
            axis.setTextPen(pg.mkPen(theme.text_muted))
        self.readout.setStyleSheet(f"color: {theme.text_muted}")
        self.word.setStyleSheet(
            f"color: {theme.text}; background: {theme.raised}; border: 1px solid {theme.border};"
            "border-radius: 9px; padding: 2px 10px"
        )
        self.dirty = True

    def show_word(self, word: str | None) -> None:
        """Say why there is no reading, or take the word away."""
        if word is None:
            self.word.hide()
            return
        if word != self.word.text() or self.word.isHidden():
            self.word.setText(word)
            self.word.adjustSize()
            self._place_word()
            self.word.show()

    def name_lines(self, *lines: "LimitLine") -> None:
        """Write the names of the lines that stand, each in its line's colour."""
        self._names = [
            f'<span style="color:{line.colour}">{DASH} {line.name}</span>'
            for line in lines
            if line.name
        ]
        self._write_names()

    def _write_names(self) -> None:
        """Name as many of the lines as there is room for, the first at any rate."""
        room = self.width() - self.caption.sizeHint().width() - RIGHT_PX - 14
        for count in range(len(self._names), 0, -1):
            text = "&nbsp; ".join(self._names[:count])
            if text != self.names.text():
                self.names.setText(text)
            if self.names.sizeHint().width() <= room:
                return
        if not self._names:
            self.names.setText("")

    def read_out(self, text: str, *, first: bool) -> None:
        """Write the readout; where there is no room for the lines' names too, one gives way."""
        if text != self.readout.text():
            self.readout.setText(text)
        taken = self.caption.sizeHint().width() + self.readout.sizeHint().width() + RIGHT_PX + 24
        roomy = taken + self.names.sizeHint().width() <= self.width()
        self.names.setVisible(roomy or not first)
        self.readout.setVisible(roomy or first)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the word in the middle of the plot."""
        super().resizeEvent(event)
        self.dirty = True
        self._write_names()
        self._place_word()

    def event(self, event: QEvent) -> bool:
        """Centre the word anew once the layout has given the plot its size."""
        handled = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self._place_word()
        return handled

    def _place_word(self) -> None:
        width = min(self.word.sizeHint().width(), max(self.plot.width() - self.plot.axis_px, 20))
        self.word.resize(width, self.word.sizeHint().height())
        middle_x = self.plot.axis_px + (self.plot.width() - self.plot.axis_px - RIGHT_PX) // 2
        middle_y = (self.plot.height() - TIME_AXIS_PX) // 2
        self.word.move(middle_x - width // 2, middle_y - self.word.height() // 2)


class LimitLine:
    """A straight dashed line across a chart that stands for something with a name."""

    def __init__(self, item: pg.PlotItem, *, angle: int = 0) -> None:
        self.line = pg.InfiniteLine(angle=angle, movable=False)
        self.line.setZValue(-5)
        self.line.hide()
        self.name = ""
        self.colour = ""
        item.addItem(self.line, ignoreBounds=True)

    def put(self, value: float | None, name: str) -> None:
        """Stand at `value` with this name; None hides it."""
        self.name = name
        if (value is not None) is not self.line.isVisible():
            self.line.setVisible(value is not None)
        if value is not None and self.line.value() != value:
            self.line.setValue(value)

    def set_colour(self, colour: str) -> None:
        """Draw the line and its name in a colour."""
        self.colour = colour
        pen = pg.mkPen(colour, width=1)
        pen.setStyle(Qt.PenStyle.DashLine)
        self.line.setPen(pen)

    @property
    def value(self) -> float | None:
        """Where it stands; None while hidden."""
        return float(self.line.value()) if self.line.isVisible() else None


class LabelledLine(LimitLine):
    """A limit line with its name beside it, for a chart with room for it."""

    def __init__(self, item: pg.PlotItem, *, angle: int = 0, label_at: float) -> None:
        super().__init__(item, angle=angle)
        corner = QPointF(1.0, 0.5) if angle else QPointF(0.0, 0.0)
        self._label = pg.InfLineLabel(
            self.line, text="", position=label_at, anchors=[corner, corner]
        )
        self._label.setFont(tabular(SMALL_PX))

    def put(self, value: float | None, name: str) -> None:
        """Stand at `value` with this name; None hides it."""
        super().put(value, name)  # first of all: a label that is hidden does not take its text
        if value is not None and self._label.format != name:
            self._label.setFormat(name)

    def set_colour(self, colour: str) -> None:
        """Draw the line and its name in a colour."""
        super().set_colour(colour)
        self._label.setColor(QColor(colour))
