# SPDX-License-Identifier: MIT
"""The parts of the fans pane and where they stand."""

from collections.abc import Callable, Iterator

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from rigpanel.ui.charts.chart import Chart, Plot
from rigpanel.ui.panes.fans.card_choice import CardChoice
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.curve_board import CurveBoard
from rigpanel.ui.panes.fans.curve_plot import CurvePlot, make_plot
from rigpanel.ui.panes.fans.foot import Foot
from rigpanel.ui.panes.fans.helper_bar import HelperBar
from rigpanel.ui.panes.fans.helper_link import HelperLink
from rigpanel.ui.panes.fans.past_charts import PastCharts
from rigpanel.ui.panes.fans.side_panel import SidePanel
from rigpanel.ui.panes.fans.trial_bar import TrialBar
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import column, label, named, scroll_area
from rigpanel.watch.history import CardHistory

SIDE_PX = 292
WIDEST_PX = 16_777_215
"""Qt's word for no bound."""
BESIDE_FROM_PX = 760
"""In a narrower pane the column of figures stands below the plot."""


class FansLayout(QObject):
    """Builds the pane's widgets into it, step by step; the pane says what is in them."""

    board: CurveBoard
    side: SidePanel
    _plot: Plot

    def __init__(self, pane: QWidget, link: HelperLink, theme: Theme) -> None:
        super().__init__(pane)
        self._theme = theme
        self._coloured = ("", "")
        self.trial = TrialBar()
        self.cards = CardChoice()
        self.helper = HelperBar(link)
        self.foot = Foot()
        self.foot.setEnabled(False)  # until all is built
        self.nothing = label("No card whose fans could be set has been found.", "empty")
        self.nothing.setWordWrap(False)
        self.nothing.hide()
        inside = QWidget()
        self._left = column(spacing=6)
        self._sides = QBoxLayout(QBoxLayout.Direction.LeftToRight, inside)
        self._sides.setContentsMargins(0, 0, 0, 0)
        self._sides.setSpacing(16)
        self._sides.addLayout(self._left, 1)
        self.past = PastCharts()
        self._left.addWidget(self.past)
        self._beside = QWidget()
        self._right = QVBoxLayout(self._beside)
        self._right.setContentsMargins(0, 0, 0, 0)
        self._sides.addWidget(self._beside)
        self.body = scroll_area(inside)
        self.body.installEventFilter(self)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(named(QLabel("Fans"), "title"))
        top.addWidget(self.helper, 1)
        rows = QVBoxLayout(pane)
        rows.setContentsMargins(16, 12, 16, 12)
        rows.setSpacing(8)
        rows.addLayout(top)
        rows.addWidget(self.cards)
        rows.addWidget(self.trial)
        rows.addWidget(self.nothing, 1, Qt.AlignmentFlag.AlignCenter)
        rows.addWidget(self.body, 1)
        rows.addWidget(self.foot)

    def steps(self, fill: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Build the rest: each step is a turn of Qt's loop, and so is each part's first drawing.

        `fill` puts into the parts what they show, once all are there and before they are seen.
        """
        yield self._make_plot
        yield self._add_board
        yield self._add_side
        yield self._add_temperature
        yield self._add_duty
        yield fill
        for part in (self.board, self.side, self.past.temperature, self.past.duty):
            yield part.show

    @property
    def charts(self) -> list[Chart]:
        """What is redrawn by the clock."""
        return [self.past.temperature, self.past.duty, self.board.plot]

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme

    def show_colour(self, colour: str) -> None:
        """Draw in the card's colour; styling again what has it would cost time at every tick."""
        if (self._theme.name, colour) != self._coloured:
            self._coloured = (self._theme.name, colour)
            self.board.plot.set_theme(self._theme, colour)
            self.past.set_theme(self._theme, colour)

    def show_card(self, history: CardHistory, fans: int) -> None:
        """Show another card's recorded minutes and its fans."""
        self.past.show_card(history)
        self.board.plot.forget_trail()
        self.board.preview.clear()
        self.side.fill_fans(fans)

    def show_told(self, told: CardTold | None, card: str) -> None:
        """Say who holds the card's fans, and what is on trial."""
        self.side.show_held(told)
        self.trial.show_left(card, None if told is None else told.trial_left_s)

    def show_whether(self, any_card: bool) -> None:
        """Show the parts, or that there is nothing for them to show."""
        self.body.setVisible(any_card)
        self.foot.setVisible(any_card)
        self.nothing.setVisible(not any_card)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Put the column of figures where there is room for it."""
        if event.type() == QEvent.Type.Resize:
            self._place_side()
        return super().eventFilter(watched, event)

    def _place_side(self) -> None:
        roomy = self.body.width() >= BESIDE_FROM_PX
        way = QBoxLayout.Direction
        self._sides.setDirection(way.LeftToRight if roomy else way.TopToBottom)
        self._beside.setMinimumWidth(SIDE_PX if roomy else 0)
        self._beside.setMaximumWidth(SIDE_PX if roomy else WIDEST_PX)

    def _make_plot(self) -> None:
        self._plot = make_plot()

    def _add_board(self) -> None:
        self.board = CurveBoard(CurvePlot(self._plot))
        self._coloured = (self._theme.name, self._theme.card(0))
        self.board.plot.set_theme(self._theme, self._theme.card(0))
        self.board.hide()
        self._left.insertWidget(0, self.board, 1)

    def _add_side(self) -> None:
        self.side = SidePanel()
        self.side.hide()
        self._right.addWidget(self.side)

    def _add_temperature(self) -> None:
        self.past.make_temperature(self._theme)

    def _add_duty(self) -> None:
        self.past.make_duty(self._theme)
