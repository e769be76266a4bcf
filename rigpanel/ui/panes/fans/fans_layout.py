# SPDX-License-Identifier: MIT
"""The parts of the fans pane and where they stand."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from rigpanel.rig.readings import GpuSample
from rigpanel.ui.charts.chart import Chart
from rigpanel.ui.charts.time_charts import HistorySource, TemperatureChart
from rigpanel.ui.charts.time_window import SPANS_S, TimeWindow
from rigpanel.ui.panes.fans.card_choice import CardChoice
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.curve_plot import CurvePlot
from rigpanel.ui.panes.fans.duty_chart import DutyChart
from rigpanel.ui.panes.fans.helper_bar import HelperBar
from rigpanel.ui.panes.fans.helper_link import HelperLink
from rigpanel.ui.panes.fans.point_table import PointTable
from rigpanel.ui.panes.fans.power_row import PowerRow
from rigpanel.ui.panes.fans.smoothing_form import SmoothingForm
from rigpanel.ui.panes.fans.trial_bar import TrialBar
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import button, column, label, named, rename
from rigpanel.watch.history import CardHistory

SIDE_PX = 292
CHARTS_PX = 150
PLOT_MARGIN_PX = 16
"""What a plot leaves free at its right."""
TABLE_PX = 440
HINT = "Drag a point. Double-click adds one, Delete removes it, the arrow keys move it."


class FansLayout:
    """Builds the pane's widgets into it; the pane says what is in them."""

    def __init__(self, pane: QWidget, link: HelperLink, theme: Theme) -> None:
        self._theme = theme
        self.window = TimeWindow(pane)
        self.window.set_span(SPANS_S[1])
        self._source: HistorySource | None = None
        self._coloured: tuple[str, str, HistorySource | None] = ("", "", None)
        self.temperature: TemperatureChart | None = None
        self.duty: DutyChart | None = None
        self.plot = CurvePlot()
        self.table = PointTable()
        self.smoothing = SmoothingForm()
        self.power = PowerRow()
        self.trial = TrialBar()
        self.cards = CardChoice()
        self.helper = HelperBar(link)
        self.fan = QComboBox()
        self.fan.setAccessibleName("Fans")
        self.presets = QComboBox()
        self.presets.setAccessibleName("Presets")
        self.persist = QCheckBox("Keep over a restart")
        self.persist.setToolTip("Else the curve ends when the fan helper ends")
        self.snap = QCheckBox("Whole degrees")
        self.snap.setChecked(True)
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name of your own preset")
        self.undo = button("Undo", "segment", "Ctrl+Z")
        self.redo = button("Redo", "segment", "Ctrl+Shift+Z")
        self.copy_to = button(
            "Copy to the others", "segment", "Draws this curve on the other cards too"
        )
        self.import_ = button("Import…", "segment")
        self.export = button("Export…", "segment")
        self.save = button("Save", "segment")
        self.auto = button("Card's own control", "", "Hand this card's fans back")
        self.apply = button("Apply", "primary", "In force at once; without a word it goes back")
        self.unapplied = named(QLabel("not applied yet"), "muted")
        self.held = label("", "strong")
        self.preview = label("", "muted")
        self.problem = label("", "error")
        self.problem.hide()
        self.nothing = label("No card whose fans could be set has been found.", "empty")
        self.nothing.setWordWrap(False)
        self.fan.hide()
        self.body = QWidget()
        self.body.hide()
        self._charts_row = QHBoxLayout()
        self._build(pane)

    @property
    def charts(self) -> list[Chart]:
        """What is redrawn by the clock."""
        made: list[Chart | None] = [self.temperature, self.duty, self.plot]
        return [chart for chart in made if chart is not None]

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme

    def show_colour(self, theme: Theme, colour: str) -> None:
        """Draw in the card's colour; styling again what has it would cost time at every tick."""
        if (theme.name, colour, self._source) == self._coloured:
            return
        self._coloured = (theme.name, colour, self._source)
        self.plot.set_theme(theme, colour)
        for chart in (self.temperature, self.duty):
            if chart is not None:
                chart.set_theme(theme, colour)

    def show_card(self, history: CardHistory, fans: int) -> None:
        """Show another card's recorded minutes and its fans."""
        for chart in (self.temperature, self.duty):
            if chart is not None:
                self._charts_row.removeWidget(chart)
                chart.hide()
                chart.deleteLater()
        now_s = 0.0 if self._source is None else self._source.now_s
        self._source = HistorySource(history)
        self._source.now_s = now_s
        self.temperature = TemperatureChart(self._source, self.window, self._theme)
        self.duty = DutyChart(self._source, self.window, self._theme)
        for chart in (self.temperature, self.duty):
            self._charts_row.addWidget(chart, 1)
        self.plot.forget_trail()
        self.fan.clear()
        self.fan.show()
        self.fan.addItems(["All fans", *(f"Fan {fan} alone" for fan in range(fans))])

    def take_tick(self, now_s: float, sample: GpuSample | None, hot_c: float) -> None:
        """Let the charts move on to now."""
        if self._source is None or self.temperature is None or self.duty is None:
            return
        self._source.now_s = now_s
        if sample is not None:
            self.temperature.set_limits(hot_c, sample)
        self.temperature.dirty = self.duty.dirty = True

    def show_told(self, told: CardTold | None, card: str) -> None:
        """Say who holds the card's fans, and what is on trial."""
        held = "" if told is None else told.held_in_words
        self.held.setText(held[:1].upper() + held[1:])
        troubled = told is not None and told.failsafe is not None
        rename(self.held, "standing" if troubled else "muted")
        self.trial.show_left(card, None if told is None else told.trial_left_s)

    def say(self, sentence: str) -> None:
        """Say what was done."""
        rename(self.problem, "muted")
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def say_problem(self, sentence: str) -> None:
        """Say what is wrong until the next thing is done."""
        self.say(sentence)
        rename(self.problem, "error")

    def fill_presets(self, names: list[str]) -> None:
        """List the presets below a heading that is none."""
        self.presets.clear()
        self.presets.addItem("Begin with a preset …")
        for name in names:
            self.presets.addItem(name, name)

    def _build(self, pane: QWidget) -> None:
        rows = QVBoxLayout(pane)
        rows.setContentsMargins(16, 12, 16, 12)
        rows.setSpacing(8)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(named(QLabel("Fans"), "title"))
        top.addWidget(self.helper, 1)
        rows.addLayout(top)
        choice = QHBoxLayout()
        choice.setSpacing(8)
        choice.addWidget(self.cards, 1)
        choice.addWidget(self.held)
        choice.addWidget(self.fan)
        rows.addLayout(choice)
        rows.addWidget(self.trial)
        rows.addWidget(self.nothing, 1, Qt.AlignmentFlag.AlignCenter)
        rows.addWidget(self.body, 1)
        inside = QHBoxLayout(self.body)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(16)
        left = column(spacing=6)
        left.addWidget(self.plot, 1)
        charts = QWidget()
        charts.setLayout(self._charts_row)
        self._charts_row.setContentsMargins(0, 0, 0, 0)
        charts.setFixedHeight(CHARTS_PX)
        tools = QHBoxLayout()
        tools.setContentsMargins(0, 0, PLOT_MARGIN_PX, 0)
        tools.setSpacing(6)
        for part in (self.undo, self.redo):
            tools.addWidget(part)
        tools.addWidget(label(HINT, "muted"), 1)
        tools.addWidget(self.snap)
        left.addLayout(tools)
        left.addWidget(self.preview)
        left.addWidget(charts)
        inside.addLayout(left, 1)
        inside.addWidget(self._side())
        self.held.setWordWrap(False)

    def _side(self) -> QWidget:
        """Return the column of figures, presets and buttons."""
        side = QWidget()
        side.setFixedWidth(SIDE_PX)
        rows = column(spacing=8)
        side.setLayout(rows)
        rows.addWidget(self.presets)
        self.table.setMinimumHeight(80)
        self.table.setMaximumHeight(TABLE_PX)
        rows.addWidget(self.table, 1)
        rows.addWidget(self.smoothing)
        rows.addWidget(self.power)
        rows.addStretch(0)
        rows.addLayout(_row(self.name, self.save, stretched=0))
        rows.addLayout(_row(self.import_, self.export, self.copy_to, stretched=2))
        rows.addWidget(self.problem)
        rows.addLayout(_row(self.persist, self.unapplied, stretched=0))
        rows.addLayout(_row(self.auto, self.apply, stretched=1))
        return side


def _row(*parts: QWidget, stretched: int) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for place, part in enumerate(parts):
        row.addWidget(part, int(place == stretched))
    return row
