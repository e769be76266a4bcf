# SPDX-License-Identifier: MIT
"""The last minutes of the card that is shown: its temperature and, beside it, its fans' duty."""

from PySide6.QtWidgets import QHBoxLayout, QWidget

from rigpanel.rig.readings import GpuSample
from rigpanel.ui.charts.time_charts import HistorySource, TemperatureChart
from rigpanel.ui.charts.time_window import SPANS_S, TimeWindow
from rigpanel.ui.panes.fans.duty_chart import DutyChart
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import column
from rigpanel.watch.history import CardHistory

HEIGHT_PX = 150


class PastCharts(QWidget):
    """Two charts on one time axis; each is made by itself in its place, as that takes a while."""

    temperature: TemperatureChart
    duty: DutyChart

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._window = TimeWindow(self)
        self._window.set_span(SPANS_S[1])
        self._source = HistorySource(CardHistory(1), parent=self)
        self.setFixedHeight(HEIGHT_PX)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._places = (column(), column())
        for place in self._places:
            row.addLayout(place, 1)

    def make_temperature(self, theme: Theme) -> None:
        """Make the first chart, hidden."""
        self.temperature = TemperatureChart(self._source, self._window, theme)
        self.temperature.set_theme(theme, theme.card(0))
        self.temperature.hide()
        self._places[0].addWidget(self.temperature)

    def make_duty(self, theme: Theme) -> None:
        """Make the second chart, hidden."""
        self.duty = DutyChart(self._source, self._window, theme)
        self.duty.set_theme(theme, theme.card(0))
        self.duty.hide()
        self._places[1].addWidget(self.duty)

    def set_theme(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour."""
        self.temperature.set_theme(theme, colour)
        self.duty.set_theme(theme, colour)

    def show_card(self, history: CardHistory) -> None:
        """Show another card's recorded minutes."""
        self._source.history = history
        self._draw_soon()

    def take_tick(self, now_s: float, sample: GpuSample | None, hot_c: float) -> None:
        """Move on to now."""
        self._source.now_s = now_s
        if sample is not None:
            self.temperature.set_limits(hot_c, sample)
        self._draw_soon()

    def _draw_soon(self) -> None:
        self.temperature.dirty = self.duty.dirty = True
