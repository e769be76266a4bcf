# SPDX-License-Identifier: MIT
"""Duty against temperature: what the fans really did, and where they stand now."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QWidget

from rigpanel.rig.readings import FanSample, GpuSample, Missing
from rigpanel.ui.charts.axes import UnitAxis
from rigpanel.ui.charts.chart import SMALL_PX, Chart, LabelledLine, Plot
from rigpanel.ui.charts.text import tabular
from rigpanel.ui.charts.time_charts import HIGH_C, LOW_C, HistorySource
from rigpanel.ui.charts.time_window import TimeWindow
from rigpanel.ui.theme import Theme
from rigpanel.ui.words import WORDS

AGES = ((0.25, 190), (0.5, 120), (0.75, 75), (1.0, 40))
"""Share of the window up to which a point is so young, and how opaque it is drawn."""
AXIS_PX = 42
POINT_PX = 13
NARROW_PX = 260
"""A chart narrower than this names every other tick of the temperature."""
TOP_PCT = 108.0
"""A little above full duty, so that the point at 100 % is whole."""


def policy_in_words(fans: tuple[FanSample, ...]) -> str:
    """Say who holds the fans: the card itself, or a program that set them by hand."""
    policies = {fan.policy for fan in fans}
    if policies == {"auto"}:
        return "card's own control"
    if policies == {"manual"}:
        return "set by a program"
    missing = next((policy for policy in policies if isinstance(policy, Missing)), None)
    return f"policy {WORDS[missing]}" if missing else "some set by a program"


class FanCurveChart(Chart):
    """Recorded duty against temperature over the charts' window, older points fainter."""

    def __init__(
        self, source: HistorySource, window: TimeWindow, parent: QWidget | None = None
    ) -> None:
        view = pg.ViewBox(enableMenu=False)
        self._bottom = UnitAxis("bottom", "°C", 20.0)
        axes = {"left": UnitAxis("left", "%", 25.0), "bottom": self._bottom}
        super().__init__("Fan curve", Plot(view, axes, AXIS_PX), parent)
        self._source = source
        self._window = window
        self._sample: GpuSample | None = None
        view.setRange(xRange=(LOW_C, HIGH_C), yRange=(0.0, TOP_PCT), padding=0)
        self.min_line = LabelledLine(self.item, label_at=0.02)
        self.alert_line = LabelledLine(self.item, angle=90, label_at=0.05)
        self.traces = tuple(pg.ScatterPlotItem(size=6, pen=None) for _ in AGES)
        for trace in reversed(self.traces):
            self.item.addItem(trace, ignoreBounds=True)
        self.point = pg.ScatterPlotItem(size=POINT_PX)
        self.item.addItem(self.point, ignoreBounds=True)
        self.point_text = pg.TextItem()
        self.point_text.setFont(tabular(SMALL_PX + 1, bold=True))
        self.point_text.setZValue(10)
        self.item.addItem(self.point_text, ignoreBounds=True)
        self.point_text.hide()

    def set_theme(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour."""
        self.apply_theme(theme)
        for trace, (_, alpha) in zip(self.traces, AGES, strict=True):
            shade = QColor(colour)
            shade.setAlpha(alpha)
            trace.setBrush(shade)
        self.point.setBrush(pg.mkBrush(colour))
        self.point.setPen(pg.mkPen(theme.surface, width=2))
        self.point_text.setColor(QColor(theme.text))
        fill = QColor(theme.surface)
        fill.setAlpha(200)
        self.point_text.fill = pg.mkBrush(fill)
        self.min_line.set_colour(theme.text_muted)
        self.alert_line.set_colour(theme.hot)

    def set_limits(self, hot_c: float, sample: GpuSample) -> None:
        """Put the alert line, and the lowest duty the card takes, where they stand now."""
        self._sample = sample
        self.alert_line.put(hot_c, f"{hot_c:.0f} °C")
        fans = () if isinstance(sample.fans, Missing) else sample.fans
        lowest = [x.min_duty_pct for x in fans if not isinstance(x.min_duty_pct, Missing)]
        self.min_line.put(*((min(lowest), f"min {min(lowest):.0f} %") if lowest else (None, "")))

    def redraw(self) -> None:
        """Draw the recorded points and the operating point, or say why there are none."""
        self.dirty = False
        now_s = self._source.now_s if self._window.held_at_s is None else self._window.held_at_s
        view = self._source.history.since(now_s - self._window.span_s)
        shown = int(np.searchsorted(view.time_s, now_s, side="right"))
        self._draw_traces(
            (now_s - view.time_s[:shown]) / self._window.span_s,
            np.round(view.temperature_c[:shown]),
            np.round(view.duty_pct[:shown]),
        )
        self._draw_point()

    def _draw_traces(
        self,
        age: np.ndarray[tuple[int], np.dtype[np.float64]],
        temperature_c: np.ndarray[tuple[int], np.dtype[np.float32]],
        duty_pct: np.ndarray[tuple[int], np.dtype[np.float32]],
    ) -> None:
        known = np.isfinite(temperature_c) & np.isfinite(duty_pct)
        # one dot a place, as old as the last time the card was there
        places = temperature_c[known].astype(np.int64) * 1000 + duty_pct[known].astype(np.int64)
        unique, newest = np.unique(places[::-1], return_index=True)
        ages = age[known][::-1][newest]
        young = 0.0
        for trace, (old, _) in zip(self.traces, AGES, strict=True):
            here = unique[(ages >= young) & ((ages < old) | (old == 1.0))]
            trace.setData(x=here // 1000, y=here % 1000)
            young = old

    def _draw_point(self) -> None:
        last, sample = self._source.history.last, self._sample
        if last is None or sample is None:
            return
        fans = () if isinstance(sample.fans, Missing) else sample.fans
        policy = policy_in_words(fans) if fans else ""
        if self.readout.toolTip() != policy:
            self.readout.setToolTip(policy)
        if self.width() < NARROW_PX:
            policy = policy.removeprefix("card's ").removeprefix("set ")
        self.read_out(policy, first=True)
        temperature_c, duty_pct = last.temperature_c, last.duty_pct
        if isinstance(temperature_c, Missing):
            self._draw_no_point(WORDS[temperature_c])
            return
        if isinstance(duty_pct, Missing):
            fanless = sample.fans == ()
            self._draw_no_point("no fan on this card" if fanless else f"fans {WORDS[duty_pct]}")
            return
        self.show_word(None)
        self.point.setData([temperature_c], [duty_pct])
        self.point_text.setText(f"{temperature_c:.0f} °C · {duty_pct:.0f} %")
        self._place_text(temperature_c)
        self.point_text.setPos(temperature_c, duty_pct)
        self.point_text.show()

    def _place_text(self, temperature_c: float) -> None:
        """Put the value beside the point, on a side where there is room, or else above it."""
        room_px = self.item.getViewBox().width()
        at_px = room_px * (temperature_c - LOW_C) / (HIGH_C - LOW_C)
        text_px = self.point_text.boundingRect().width() + POINT_PX
        if at_px > text_px:
            self.point_text.setAnchor((1.0 + POINT_PX / text_px, 0.5))
        elif room_px - at_px > text_px:
            self.point_text.setAnchor((-POINT_PX / text_px, 0.5))
        else:
            self.point_text.setAnchor((min(max(at_px / max(room_px, 1.0), 0.0), 1.0), 1.5))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Name as many ticks as there is room for."""
        super().resizeEvent(event)
        self._bottom.set_step(40.0 if event.size().width() < NARROW_PX else 20.0)

    def _draw_no_point(self, why: str) -> None:
        self.show_word(why)
        self.point.setData([], [])
        self.point_text.hide()
