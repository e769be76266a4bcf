# SPDX-License-Identifier: MIT
"""Temperature and power of one card over time."""

import math
from abc import abstractmethod

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QObject, QPointF, Slot
from PySide6.QtWidgets import QWidget

from rigpanel.rig.readings import GpuSample, Missing, Reading
from rigpanel.ui.charts.axes import TimeAxis, UnitAxis
from rigpanel.ui.charts.chart import Chart, LimitLine, Plot
from rigpanel.ui.charts.phase_bands import PhaseBands, spans_before
from rigpanel.ui.charts.text import ago
from rigpanel.ui.charts.time_window import TimeViewBox, TimeWindow
from rigpanel.ui.theme import Theme
from rigpanel.ui.words import WORDS
from rigpanel.watch.history import CardHistory, HistoryView, LastReadings, Times, Values
from rigpanel.watch.phases import PhaseLog

LINE_PX = 1.6
SAMPLES_A_PIXEL = 1.5
LOW_C, HIGH_C = 20.0, 100.0
MARGIN_C = 5.0
"""Beyond the lowest and highest tick, so that their labels are whole."""


class HistorySource(QObject):
    """What a card's charts draw from: its ring, the rig's clock and the chat's phases."""

    def __init__(
        self,
        history: CardHistory,
        phases: PhaseLog | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.history = history
        self.phases = phases
        self.now_s = 0.0
        """When the newest tick was read, by `time.monotonic`."""


class TimeChart(Chart):
    """A reading against the time before now, with the chat's phases shaded behind it."""

    def __init__(
        self,
        caption: str,
        unit: str,
        source: HistorySource,
        window: TimeWindow,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        self._left = UnitAxis("left", unit, 20.0)
        bottom = TimeAxis("bottom")
        super().__init__(
            caption,
            Plot(TimeViewBox(enableMenu=False), {"left": self._left, "bottom": bottom}),
            parent,
        )
        self._unit = unit
        self._source = source
        self._window = window
        self._drawn_now_s = 0.0
        self._drawn_time: Times = np.empty(0)
        self._drawn_values: Values = np.empty(0, np.float32)
        view = self.item.getViewBox()
        view.setXLink(window.leader)
        view.setDefaultPadding(0.0)
        self.bands = PhaseBands(theme)
        self.item.addItem(self.bands, ignoreBounds=True)
        self.curve = pg.PlotDataItem(antialias=True, connect="finite", dynamicRangeLimit=None)
        self.item.addItem(self.curve, ignoreBounds=True)
        self.curve.setClipToView(True)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._cursor.hide()
        self.item.addItem(self._cursor, ignoreBounds=True)
        self.plot.scene().sigMouseMoved.connect(self._mouse_moved)
        self.plot.scene().sigMouseHover.connect(self._mouse_hovered)
        window.cursor_moved.connect(self._cursor_moved)

    @abstractmethod
    def _values(self, view: HistoryView) -> Values: ...

    @abstractmethod
    def _reading(self, last: LastReadings) -> Reading[float]: ...

    @abstractmethod
    def _fit_y(self, values: Values) -> None: ...

    def redraw(self) -> None:
        """Draw the window's span up to now, or up to where it is held."""
        self.dirty = False
        now_s = self._source.now_s if self._window.held_at_s is None else self._window.held_at_s
        view = self._source.history.since(now_s - self._window.span_s)
        shown = int(np.searchsorted(view.time_s, now_s, side="right"))
        x, y = view.time_s[:shown] - now_s, self._values(view)[:shown]
        self._drawn_now_s, self._drawn_time, self._drawn_values = now_s, x, y
        self._fit_y(y)
        # a power of two, so that the bins change seldom and the line does not shimmer
        crowd = len(x) / (max(self.plot.width(), 50) * SAMPLES_A_PIXEL)
        bins = 2 ** math.ceil(math.log2(crowd)) if crowd > 1 else 1
        self.curve.setDownsampling(ds=bins, auto=False, method="peak")
        # smooth edges are seen on a thin line, and cost too much on a dense one
        self.curve.setData(x, y, antialias=crowd <= 1)
        self._draw_more(x, view, shown)
        self.bands.set_spans(spans_before(self._source.phases, now_s, self._window.span_s))
        last = self._source.history.last
        reading = None if last is None else self._reading(last)
        self.show_word(WORDS[reading] if isinstance(reading, Missing) else None)
        self._show_readout()

    def _draw_more(self, x: Times, view: HistoryView, shown: int) -> None:
        """Draw what a chart has beside its one line."""

    def apply_theme(self, theme: Theme) -> None:
        """Take the colours that both time charts share."""
        super().apply_theme(theme)
        self.bands.set_theme(theme)
        self._cursor.setPen(pg.mkPen(theme.text_muted, width=1))

    def show_time_labels(self, shown: bool) -> None:
        """Name the ticks below, or leave that to the chart underneath with the same axis."""
        axis = self.item.getAxis("bottom")
        axis.setStyle(showValues=shown)
        axis.setHeight(None if shown else 4)
        if shown:
            axis.setHeight(18)

    @Slot(QPointF)
    def _mouse_moved(self, position: QPointF) -> None:
        view = self.item.getViewBox()
        inside = view.sceneBoundingRect().contains(position)
        self._window.move_cursor(view.mapSceneToView(position).x() if inside else None)

    @Slot(object)
    def _mouse_hovered(self, items: list[object]) -> None:
        if not items:
            self._window.move_cursor(None)

    @Slot()
    def _cursor_moved(self) -> None:
        cursor_s = self._window.cursor_s
        self._cursor.setVisible(cursor_s is not None)
        if cursor_s is not None:
            self._cursor.setValue(cursor_s)
        self._show_readout()

    def _show_readout(self) -> None:
        cursor_s, values = self._window.cursor_s, self._drawn_values
        if cursor_s is None:
            known = values[np.isfinite(values)]
            text = f"peak {known.max():.0f} {self._unit}" if len(known) else ""
        else:
            text = f"{self._at(cursor_s)} at {ago(cursor_s)}"
        self.read_out(text, first=cursor_s is not None)

    def _at(self, cursor_s: float) -> str:
        times = self._drawn_time
        place = int(np.searchsorted(times, cursor_s))
        near = [index for index in (place - 1, place) if 0 <= index < len(times)]
        if not near:
            return "no reading"
        nearest = min(near, key=lambda index: abs(times[index] - cursor_s))
        value = float(self._drawn_values[nearest])
        pixel_s = self._window.span_s / max(self.plot.width(), 1)
        if math.isnan(value) or abs(times[nearest] - cursor_s) > max(3.0, 4 * pixel_s):
            return "no reading"
        return f"{value:.0f} {self._unit}"


class TemperatureChart(TimeChart):
    """Core temperature in °C, with the alert line and the card's own slowdown threshold."""

    def __init__(
        self, source: HistorySource, window: TimeWindow, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__("Temperature", "°C", source, window, theme, parent)
        self.alert_line = LimitLine(self.item)
        self.slowdown_line = LimitLine(self.item)
        self._reach = (LOW_C - MARGIN_C, HIGH_C + MARGIN_C)
        self._top_c = HIGH_C + MARGIN_C
        self.item.getViewBox().setYRange(*self._reach, padding=0)

    def set_theme(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour."""
        self.apply_theme(theme)
        self.curve.setPen(pg.mkPen(colour, width=LINE_PX))
        self.alert_line.set_colour(theme.hot)
        self.slowdown_line.set_colour(theme.text_muted)
        self.name_lines(self.alert_line, self.slowdown_line)

    def set_limits(self, hot_c: float, sample: GpuSample) -> None:
        """Put the alert line and the slowdown threshold where they stand now."""
        self.alert_line.put(hot_c, f"alert {hot_c:.0f} °C")
        slowdown_c = sample.slowdown_c
        if isinstance(slowdown_c, Missing):
            self.slowdown_line.put(None, "")
            self._top_c = max(HIGH_C, hot_c) + MARGIN_C
        else:
            self.slowdown_line.put(slowdown_c, f"slowdown {slowdown_c:.0f} °C")
            self._top_c = max(HIGH_C, hot_c, slowdown_c) + MARGIN_C
        self.name_lines(self.alert_line, self.slowdown_line)

    def _values(self, view: HistoryView) -> Values:
        return view.temperature_c

    def _reading(self, last: LastReadings) -> Reading[float]:
        return last.temperature_c

    def _fit_y(self, values: Values) -> None:
        known = values[np.isfinite(values)]
        low, high = LOW_C - MARGIN_C, self._top_c
        if len(known):
            low = min(low, math.floor(float(known.min()) / 10) * 10.0)
            high = max(high, math.ceil(float(known.max()) / 10) * 10.0)
        if (low, high) != self._reach:
            self._reach = (low, high)
            self.item.getViewBox().setYRange(low, high, padding=0)


class PowerChart(TimeChart):
    """Power draw in watts, with the limit in force then and the highest the card allows."""

    def __init__(
        self, source: HistorySource, window: TimeWindow, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__("Power draw", "W", source, window, theme, parent)
        self.limit_line = LimitLine(self.item)
        self.past_limits = pg.PlotDataItem(connect="finite", dynamicRangeLimit=None)
        """Limits that held in the window before the one in force; empty while it never changed."""
        self.item.addItem(self.past_limits, ignoreBounds=True)
        self.max_line = LimitLine(self.item)
        self._top_w = 0.0
        self._limit_top_w = 0.0

    def set_theme(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour."""
        self.apply_theme(theme)
        self.curve.setPen(pg.mkPen(colour, width=LINE_PX))
        self.past_limits.setPen(pg.mkPen(theme.warm, width=1))
        self.limit_line.set_colour(theme.warm)
        self.max_line.set_colour(theme.text_muted)
        self.name_lines(self.limit_line, self.max_line)

    def set_limits(self, sample: GpuSample) -> None:
        """Name the limit in force and the highest the card allows."""
        limit_w, max_w = sample.power_limit_w, sample.power_limit_max_w
        tops = [watts for watts in (limit_w, max_w) if not isinstance(watts, Missing)]
        self._limit_top_w = max(tops, default=self._limit_top_w)
        if isinstance(limit_w, Missing):
            self.limit_line.put(None, "")
        else:
            self.limit_line.put(limit_w, f"limit {limit_w:.0f} W")
        if isinstance(max_w, Missing) or max_w == limit_w:
            self.max_line.put(None, "")
        else:
            self.max_line.put(max_w, f"highest {max_w:.0f} W")
        self.name_lines(self.limit_line, self.max_line)

    def _values(self, view: HistoryView) -> Values:
        return view.power_w

    def _reading(self, last: LastReadings) -> Reading[float]:
        return last.power_w

    def _fit_y(self, values: Values) -> None:
        known = values[np.isfinite(values)]
        peak_w = float(known.max()) if len(known) else 0.0
        top_w = self._limit_top_w * 1.1 or max(math.ceil(peak_w / 50) * 50.0, self._top_w, 100.0)
        if peak_w > top_w:
            top_w = math.ceil(peak_w / 50) * 50.0
        if top_w != self._top_w:
            self._top_w = top_w
            self._left.set_step(next(step for step in (50, 100, 200, 500) if top_w <= 5 * step))
            self.item.getViewBox().setYRange(0.0, top_w, padding=0)

    def _draw_more(self, x: Times, view: HistoryView, shown: int) -> None:
        limit_w = view.limit_w[:shown]
        changed = np.flatnonzero(np.diff(limit_w) != 0)
        known = limit_w[np.isfinite(limit_w)]
        if not len(known) or known.min() == known.max():
            self.past_limits.setData([], [])
            return
        # both ends of every step: NaN differs from everything, so gaps stay gaps
        corners = np.unique(np.concatenate(([0], changed, changed + 1, [len(x) - 1])))
        self.past_limits.setData(x[corners], limit_w[corners])
