# SPDX-License-Identifier: MIT
"""What every chart of a card has: a caption, a readout, a plot, and a word for a missing value."""

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QColor, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from rigpanel.ui.charts.text import tabular
from rigpanel.ui.theme import Theme

AXIS_PX = 44
TIME_AXIS_PX = 18
RIGHT_PX = 14
"""Room for half of the last label of the axis below."""
SMALL_PX = 11


class UnitAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph carries no types
    """An axis whose labels carry their unit and whose ticks stand at whole steps."""

    def __init__(self, orientation: str, unit: str, step: float) -> None:
        super().__init__(orientation)
        self._unit = unit
        self.set_step(step)

    def set_step(self, step: float) -> None:
        """Put a tick at every whole multiple of `step`."""
        self.setTickSpacing(levels=[(step, 0.0)])

    def tickStrings(self, values: list[float], _scale: float, _spacing: float) -> list[str]:
        """Return the values with their unit."""
        return [f"{value:.0f} {self._unit}" for value in values]


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
        # otherwise the labels at both ends of the axis, which reach over it, are left out
        item.getAxis("bottom").setStyle(hideOverlappingLabels=False)
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
        self.readout = QLabel(self)
        self.word = QLabel(plot)
        """Says why there is no reading now; hidden while there is one."""
        self.word.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.word.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.word.hide()
        for label in (self.caption, self.readout, self.word):
            label.setFont(tabular(SMALL_PX))
        self.readout.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        top = QHBoxLayout()
        top.setContentsMargins(4, 0, RIGHT_PX, 0)
        top.addWidget(self.caption)
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

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the word in the middle of the plot."""
        super().resizeEvent(event)
        self.dirty = True
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


class LabelledLine:
    """A straight line across a chart with its name on it."""

    def __init__(
        self, item: pg.PlotItem, *, angle: int = 0, label_at: float, before: bool = False
    ) -> None:
        right = label_at > 0.5
        corner = QPointF(1.0 if right else 0.0, 1.0)
        if angle:
            corner = QPointF(1.0 if before else 0.0, 0.5)
        self.line = pg.InfiniteLine(
            angle=angle,
            movable=False,
            label="",
            labelOpts={"position": label_at, "anchors": [corner, corner]},
        )
        self.line.label.setFont(tabular(SMALL_PX))
        self.line.setZValue(-5)
        self.line.hide()
        item.addItem(self.line, ignoreBounds=True)

    def put(self, value: float | None, text: str) -> None:
        """Stand at `value` with this name; None hides it."""
        if value is None:
            self.line.hide()
            return
        if not self.line.isVisible():
            self.line.show()  # first of all: a label that is hidden does not take its text
        if self.line.value() != value:
            self.line.setValue(value)
        if self.line.label.format != text:
            self.line.label.setFormat(text)

    def set_colour(self, colour: str, *, dashed: bool, shown: bool = True) -> None:
        """Draw the line and its name in a colour; without `shown` only the name."""
        pen = pg.mkPen(colour, width=1)
        if dashed:
            pen.setStyle(Qt.PenStyle.DashLine)
        self.line.setPen(pen if shown else QPen(Qt.PenStyle.NoPen))
        self.line.label.setColor(QColor(colour))

    @property
    def value(self) -> float | None:
        """Where it stands; None while hidden."""
        return float(self.line.value()) if self.line.isVisible() else None

    @property
    def text(self) -> str:
        """Its name."""
        return str(self.line.label.format)
