# SPDX-License-Identifier: MIT
"""A fan curve to be drawn by hand: points dragged, added and deleted, by pointer and by keys."""

from collections import deque
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QWidget

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.editing import CurveEditor
from rigpanel.ui.charts.axes import UnitAxis
from rigpanel.ui.charts.chart import SMALL_PX, Chart, LabelledLine, LimitLine, Plot
from rigpanel.ui.charts.text import tabular
from rigpanel.ui.theme import Theme

LOW_C, HIGH_C = 20.0, 106.0
BOTTOM_PCT, TOP_PCT = -2.0, 106.0
AXIS_PX = 42
REACH_PX = 16.0
"""How near a point the pointer must be to take it."""
POINT_PX, CHOSEN_PX, NOW_PX = 11, 15, 12
TRAIL_TICKS = 30
CRITICAL_TEXT_C = 9.0
"""Room that the words beside the critical line take."""
BIG_STEP = 5.0
STEPS = {
    Qt.Key.Key_Left: (-1.0, 0.0),
    Qt.Key.Key_Right: (1.0, 0.0),
    Qt.Key.Key_Up: (0.0, 1.0),
    Qt.Key.Key_Down: (0.0, -1.0),
}


class _CurveView(pg.ViewBox):  # type: ignore[misc]  # pyqtgraph carries no types
    """Passes on what the pointer does, in the curve's own units."""

    pressed = Signal(object)
    dragged = Signal(object, object, bool, bool)
    """Where it began, where it is, whether it begins, whether it ends."""
    doubled = Signal(object)

    def mouseDragEvent(self, event: Any, _axis: int | None = None) -> None:
        """Drag a point, never the view."""
        event.accept()
        if event.button() == Qt.MouseButton.LeftButton:
            begun, now = (self.mapToView(at) for at in (event.buttonDownPos(), event.pos()))
            self.dragged.emit(begun, now, event.isStart(), event.isFinish())

    def mouseClickEvent(self, event: Any) -> None:
        """Choose a point, or with two clicks add one."""
        if event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            (self.doubled if event.double() else self.pressed).emit(self.mapToView(event.pos()))


def make_plot() -> Plot:
    """Return what a `CurvePlot` draws on: half of the time that making one takes."""
    axes = {"left": UnitAxis("left", "%", 25.0), "bottom": UnitAxis("bottom", "°C", 10.0)}
    return Plot(_CurveView(enableMenu=False), axes, AXIS_PX)


class CurvePlot(Chart):
    """The curve, what of it is in force, the card's limits, and where the card is now."""

    edited = Signal()
    chosen_changed = Signal()

    def __init__(self, plot: Plot, parent: QWidget | None = None) -> None:
        """Draw on a plot that `make_plot` made."""
        super().__init__("Fan curve", plot, parent)
        self._view = self.item.getViewBox()
        self.editor: CurveEditor | None = None
        self.chosen = 0
        self._dragging: int | None = None
        self._trail: deque[tuple[float, float]] = deque(maxlen=TRAIL_TICKS)
        self._view.setRange(xRange=(LOW_C, HIGH_C), yRange=(BOTTOM_PCT, TOP_PCT), padding=0)
        self.critical = pg.LinearRegionItem((90.0, 200.0), movable=False)
        self.item.addItem(self.critical, ignoreBounds=True)
        self.min_line = LabelledLine(self.item, label_at=0.02)
        self.alert_line = LabelledLine(self.item, angle=90, label_at=0.05)
        self.critical_line = LimitLine(self.item, angle=90)
        self.critical_text = pg.TextItem()
        self.critical_text.setFont(tabular(SMALL_PX))
        self.in_force = pg.PlotDataItem(antialias=True)
        self.line = pg.PlotDataItem(antialias=True)
        self.trail = pg.PlotDataItem(antialias=True)
        self.points = pg.ScatterPlotItem(size=POINT_PX)
        self.ring = pg.ScatterPlotItem(size=CHOSEN_PX)
        self.now = pg.ScatterPlotItem(size=NOW_PX, symbol="d")
        self.label = pg.TextItem(anchor=(0.5, 1.6))
        self.label.setFont(tabular(SMALL_PX + 1, bold=True))
        lines = (self.in_force, self.line, self.trail)
        for part in (*lines, self.critical_text, self.now, self.points, self.ring, self.label):
            self.item.addItem(part, ignoreBounds=True)
        self.critical_text.setZValue(11)
        self.label.setZValue(10)
        self._view.pressed.connect(self._pressed)
        self._view.dragged.connect(self._dragged)
        self._view.doubled.connect(self._doubled)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Fan curve")
        self.setToolTip("")

    def set_theme(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour."""
        self.apply_theme(theme)
        self.line.setPen(pg.mkPen(colour, width=2.2))
        dashed = pg.mkPen(theme.text_muted, width=1.4)
        dashed.setStyle(Qt.PenStyle.DashLine)
        self.in_force.setPen(dashed)
        faint = QColor(theme.text)
        faint.setAlpha(90)
        self.trail.setPen(pg.mkPen(faint, width=1.5))
        self.points.setBrush(pg.mkBrush(theme.surface))
        self.points.setPen(pg.mkPen(colour, width=2))
        self.ring.setBrush(pg.mkBrush(colour))
        self.ring.setPen(pg.mkPen(theme.surface, width=2))
        self.now.setBrush(pg.mkBrush(theme.text))
        self.now.setPen(pg.mkPen(theme.surface, width=1.5))
        self.label.setColor(QColor(theme.text))
        ground = QColor(theme.raised)
        ground.setAlpha(225)
        self.label.fill = pg.mkBrush(ground)
        self.min_line.set_colour(theme.text_muted)
        self.alert_line.set_colour(theme.warm)
        self.critical_line.set_colour(theme.hot)
        self.critical_text.setColor(QColor(theme.hot))
        shade = QColor(theme.hot)
        shade.setAlpha(28)
        self.critical.setBrush(shade)
        for edge in self.critical.lines:
            edge.setPen(pg.mkPen(None))

    def show_editor(self, editor: CurveEditor) -> None:
        """Draw another curve from now on."""
        if editor is not self.editor:
            self.editor = editor
            self.chosen = 0
        self.redraw()

    def show_limits(self, hot_c: float, least_pct: float | None, critical_c: float) -> None:
        """Put the alert, the card's least duty and the critical temperature where they stand."""
        self.alert_line.put(hot_c, f"{hot_c:.0f} °C")
        self.min_line.put(
            least_pct, "" if least_pct is None else f"card's minimum {least_pct:.0f} %"
        )
        self.critical_line.put(critical_c, "critical")
        self.critical_text.setText(f"critical\nfrom {critical_c:.0f} °C\nfull speed")
        self.critical_text.setPos(critical_c, 50.0)
        roomy = critical_c + CRITICAL_TEXT_C < HIGH_C
        self.critical_text.setAnchor((0.0 if roomy else 1.0, 0.5))
        self.critical.setRegion((critical_c, 200.0))

    def show_in_force(self, curve: FanCurve | None) -> None:
        """Draw what the helper follows now, where that differs from what is drawn."""
        if curve is None or (self.editor is not None and curve.points == self.editor.points):
            self.in_force.setData([], [])
        else:
            self.in_force.setData(*_outline(curve))

    def show_now(self, temperature_c: float | None, duty_pct: float | None) -> None:
        """Put the operating point where the card is now, with its trail behind."""
        if temperature_c is None or duty_pct is None:
            self.now.setData([], [])
            self._trail.clear()
        else:
            self._trail.append((temperature_c, duty_pct))
            self.now.setData([temperature_c], [duty_pct])
        self.trail.setData(*(np.array(self._trail).T if len(self._trail) > 1 else ([], [])))
        self.read_out(
            ""
            if temperature_c is None or duty_pct is None
            else f"now {temperature_c:.0f} °C, {duty_pct:.0f} %",
            first=True,
        )

    def forget_trail(self) -> None:
        """Begin a new trail: another card is shown."""
        self._trail.clear()

    def redraw(self) -> None:
        """Draw the curve as it is edited."""
        self.dirty = False
        if self.editor is None:
            return
        points = self.editor.points
        self.chosen = min(self.chosen, len(points) - 1)
        at_c, duty_pct = points[self.chosen]
        self.line.setData(*_outline(self.editor.curve))
        self.points.setData([at for at, _ in points], [duty for _, duty in points])
        self.ring.setData([at_c], [duty_pct])
        text = f"{at_c:g} °C, {duty_pct:g} %"
        self.label.setText(text)
        below = duty_pct > 88
        side = min(max((at_c - LOW_C) / (HIGH_C - LOW_C), 0.12), 0.88)
        self.label.setAnchor((side, -0.6 if below else 1.6))
        self.label.setPos(at_c, duty_pct)
        self.setAccessibleDescription(
            f"Point {self.chosen + 1} of {len(points)}: {text}. Arrow keys move it, Page Up and "
            "Page Down choose another, Insert adds one, Delete removes it."
        )

    def choose(self, place: int) -> None:
        """Choose a point."""
        if self.editor is not None and place != self.chosen:
            self.chosen = min(max(place, 0), len(self.editor.points) - 1)
            self.redraw()
            self.chosen_changed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move, choose, add and delete without a pointer."""
        editor, key = self.editor, Qt.Key(event.key())
        if editor is None:
            return
        if key in STEPS:
            size = BIG_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1.0
            at_c, duty_pct = editor.points[self.chosen]
            more_c, more_pct = STEPS[key]
            editor.move(self.chosen, at_c + size * more_c, duty_pct + size * more_pct)
            self._changed()
        elif key in {Qt.Key.Key_PageUp, Qt.Key.Key_PageDown}:
            self.choose(self.chosen + (1 if key is Qt.Key.Key_PageDown else -1))
        elif key in {Qt.Key.Key_Delete, Qt.Key.Key_Backspace}:
            if editor.delete(self.chosen):
                self._changed()
        elif key is Qt.Key.Key_Insert:
            self._added(editor.add_after(self.chosen))
        else:
            super().keyPressEvent(event)

    @Slot(object)
    def _pressed(self, at: QPointF) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        near = self._near(at)
        if near is not None:
            self.choose(near)

    @Slot(object)
    def _doubled(self, at: QPointF) -> None:
        if self.editor is not None and self._near(at) is None:
            self._added(self.editor.add(at.x(), at.y()))

    @Slot(object, object, bool, bool)
    def _dragged(self, begun: QPointF, now: QPointF, begins: bool, ends: bool) -> None:
        if self.editor is None:
            return
        if begins:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
            self._dragging = self._near(begun)
            if self._dragging is not None:
                self.choose(self._dragging)
                self.editor.begin_drag()
        if self._dragging is None:
            return
        at_c = min(max(now.x(), LOW_C), HIGH_C)
        self.editor.move(self._dragging, at_c, now.y())
        if ends:
            self._dragging = None
            self.editor.end_drag()
        self._changed()

    def _near(self, at: QPointF) -> int | None:
        """Return the point that the pointer is at."""
        if self.editor is None:
            return None
        pointer = self._view.mapViewToScene(at)
        places = [self._view.mapViewToScene(QPointF(*point)) for point in self.editor.points]
        far = [(place - pointer).manhattanLength() for place in places]
        nearest = min(range(len(far)), key=far.__getitem__)
        return nearest if far[nearest] <= REACH_PX else None

    def _added(self, place: int | None) -> None:
        if place is not None:
            self.chosen = place
            self._changed()
            self.chosen_changed.emit()

    def _changed(self) -> None:
        self.redraw()
        self.edited.emit()


def _outline(curve: FanCurve) -> tuple[list[float], list[float]]:
    """Return the curve's line over the whole width."""
    points = [(0.0, curve.points[0][1]), *curve.points, (150.0, curve.points[-1][1])]
    return [at_c for at_c, _ in points], [duty for _, duty in points]
