# SPDX-License-Identifier: MIT
"""Fan duty of one card over time, in which hunting shows."""

import pyqtgraph as pg
from PySide6.QtWidgets import QWidget

from rigpanel.rig.readings import Reading
from rigpanel.ui.charts.time_charts import LINE_PX, HistorySource, TimeChart
from rigpanel.ui.charts.time_window import TimeWindow
from rigpanel.ui.theme import Theme
from rigpanel.watch.history import HistoryView, LastReadings, Values


class DutyChart(TimeChart):
    """Mean duty of the card's fans in percent."""

    def __init__(
        self, source: HistorySource, window: TimeWindow, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__("Fan duty", "%", source, window, theme, parent)
        self._left.set_step(25.0)
        self.item.getViewBox().setYRange(-3.0, 106.0, padding=0)

    def set_theme(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour."""
        self.apply_theme(theme)
        self.curve.setPen(pg.mkPen(colour, width=LINE_PX))

    def _values(self, view: HistoryView) -> Values:
        return view.duty_pct

    def _reading(self, last: LastReadings) -> Reading[float]:
        return last.duty_pct

    def _fit_y(self, _values: Values) -> None:
        """Stay as it is: a duty is always between nothing and full."""
