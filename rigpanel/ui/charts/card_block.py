# SPDX-License-Identifier: MIT
"""One card of the monitor: who it is, how it is now, and its three charts."""

import dataclasses
import enum

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.ui.card_tile import state_colour
from rigpanel.ui.charts.chart import Chart
from rigpanel.ui.charts.facts_line import FactsLine
from rigpanel.ui.charts.fan_curve_chart import FanCurveChart
from rigpanel.ui.charts.redraw import Part
from rigpanel.ui.charts.text import TIMES, tabular
from rigpanel.ui.charts.time_charts import HistorySource, PowerChart, TemperatureChart
from rigpanel.ui.charts.time_window import TimeWindow
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import ElidedLabel
from rigpanel.ui.words import WORDS, CardState, card_state, memory, power, reading
from rigpanel.watch.history import CardHistory, mean_duty_pct
from rigpanel.watch.phases import PhaseLog

LEAST_HEIGHT_PX = 262
STACK_BELOW_PX = 640
"""A block narrower than this and tall enough puts the fan curve under the charts of time."""
STACK_ABOVE_PX = 520
ONE_ROW_FROM_PX, STACKED_PX = 380, 470
"""A block narrower than this has room for nothing beside anything, and is this high at least."""


class _Arrangement(enum.Enum):
    BESIDE = (5, 2)
    BESIDE_NARROW = (8, 5)
    BESIDE_WIDE = (3, 2)
    STACKED = (1, 0)


class CardHeader(QWidget):
    """The card's name, state and the three figures that matter most; drawn by timer too."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.dirty = False
        self._sample: GpuSample | None = None
        self._place = 0
        self._hot_c = 0.0
        self._theme = theme
        self._styles: dict[QLabel, str] = {}
        self.dot = QLabel(self)
        self.dot.setFixedSize(10, 10)
        self.name = ElidedLabel(self)
        self.name.setFont(tabular(14, bold=True))
        self.state = QLabel(self)
        self.state.setFont(tabular(11, bold=True))
        self.values = tuple(QLabel(self) for _ in range(3))
        self.facts = FactsLine(theme, self)
        who = QHBoxLayout()
        who.setSpacing(8)
        for label in (self.dot, self.name, self.state):
            who.addWidget(label)
        who.addStretch(1000)
        figures = QHBoxLayout()
        figures.setSpacing(11)
        for label in self.values:
            label.setFont(tabular(14, bold=True))
            figures.addWidget(label)
        figures.addStretch(1)
        self._top = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._top.setSpacing(3)
        self._top.addLayout(who, 1)
        self._top.addLayout(figures)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.setSpacing(3)
        layout.addLayout(self._top)
        layout.addWidget(self.facts)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the figures under the name where there is no room beside it."""
        super().resizeEvent(event)
        way = QBoxLayout.Direction
        self._top.setDirection(
            way.TopToBottom if event.size().width() < ONE_ROW_FROM_PX else way.LeftToRight
        )

    def take(self, sample: GpuSample, place: int, hot_c: float) -> None:
        """Keep what to show at the next redraw."""
        self._sample, self._place, self._hot_c = sample, place, hot_c
        self.dirty = True

    def say_gone(self) -> None:
        """Show the last sample's card as lost: the rig no longer lists it."""
        if self._sample is not None and not self._sample.lost:
            gone = dataclasses.replace(self._sample, temperature_c=Missing.GPU_LOST)
            self.take(gone, self._place, self._hot_c)

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme
        self.facts.set_theme(theme)
        self.redraw()

    def redraw(self) -> None:
        """Write the newest sample's figures; only labels that changed are touched."""
        self.dirty = False
        sample, theme = self._sample, self._theme
        if sample is None:
            return
        state = card_state(sample, self._hot_c)
        colour = state_colour(state, theme)
        _write(self.name, sample.label)
        self.name.setToolTip(sample.label)
        _write(self.state, state.value)
        self._style(self.dot, f"background: {theme.card(self._place)}; border-radius: 5px")
        self._style(
            self.state,
            f"color: {colour}; border: 1px solid {colour};border-radius: 8px; padding: 0px 7px",
        )
        duty = mean_duty_pct(sample)
        texts = (
            reading(sample.temperature_c, "{:.0f} °C"),
            power(sample),
            reading(duty, "fan {:.0f} %") if not isinstance(duty, Missing) else "",
        )
        shown = zip(
            self.values,
            texts,
            (sample.temperature_c, sample.power_draw_w, duty),
            ("temperature", "power", "fans"),
            strict=True,
        )
        for label, text, value, name in shown:
            label.setVisible(not sample.lost and bool(text))
            _write(label, text)
            hot = state is CardState.HOT and name == "temperature"
            tone = theme.text_muted if isinstance(value, Missing) else theme.text
            self._style(label, f"color: {theme.hot if hot else tone}")
            # never narrower than before, so that the row stands still
            label.setMinimumWidth(max(label.minimumWidth(), label.sizeHint().width()))
        self.facts.set_facts(facts_of(sample))

    def _style(self, label: QLabel, style: str) -> None:
        if self._styles.get(label) != style:
            self._styles[label] = style
            label.setStyleSheet(style)


def facts_of(sample: GpuSample) -> tuple[tuple[str, str], ...]:
    """Return the second row of a card: memory, load, clocks and links, with their units."""
    if sample.lost:
        return (("no readings:", "the card has fallen off the bus"),)
    facts = [
        ("VRAM", memory(sample)),
        ("load", reading(sample.utilization_pct, "{:.0f} %")),
        ("core", reading(sample.clock_sm_mhz, "{:.0f} MHz")),
        ("mem", reading(sample.clock_mem_mhz, "{:.0f} MHz")),
    ]
    if isinstance(sample.fans, Missing):
        facts.append(("fans", WORDS[sample.fans]))
    pcie = sample.pcie
    if isinstance(pcie, Missing):
        facts.append(("PCIe", WORDS[pcie]))
    else:
        slot = [WORDS[x] if isinstance(x, Missing) else x for x in (pcie.gen, pcie.width)]
        facts.append(("PCIe", f"gen {slot[0]} {TIMES}{slot[1]}"))
        traffic = [reading(x, "{:.0f}") for x in (pcie.rx_mib_s, pcie.tx_mib_s)]
        facts.append(("in / out", f"{traffic[0]} / {traffic[1]} MiB/s"))
    nvlink = sample.nvlink
    if not isinstance(nvlink, Missing) and nvlink.links:
        facts.append(("NVLink", f"{nvlink.active} of {nvlink.links}"))
    elif isinstance(nvlink, Missing) and nvlink is not Missing.NOT_SUPPORTED:
        facts.append(("NVLink", WORDS[nvlink]))
    return tuple(facts)


class CardBlock(QFrame):
    """Header and charts of one card; arranged by the room it is given."""

    def __init__(
        self,
        history: CardHistory,
        phases: PhaseLog | None,
        window: TimeWindow,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._theme = theme
        self._place = 0
        self._arrangement: _Arrangement | None = None
        self.source = HistorySource(history, phases, self)
        self.header = CardHeader(theme, self)
        self.temperature = TemperatureChart(self.source, window, theme, self)
        self.power = PowerChart(self.source, window, theme, self)
        self.fan_curve = FanCurveChart(self.source, window, self)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 6)
        layout.setSpacing(6)
        layout.addWidget(self.header)
        layout.addLayout(self._grid, 1)
        self.setMinimumHeight(LEAST_HEIGHT_PX)
        self.temperature.show_time_labels(False)
        self._arrange(_Arrangement.BESIDE)
        self.set_theme(theme)

    @property
    def charts(self) -> tuple[Chart, ...]:
        """The three charts."""
        return (self.temperature, self.power, self.fan_curve)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the redraw clock draws."""
        return (self.header, *self.charts)

    def take(self, sample: GpuSample, place: int, now_s: float, hot_c: float) -> None:
        """Take one tick's sample of the card at `place` in the list; nothing is drawn yet."""
        self.source.now_s = now_s
        if place != self._place:
            self._place = place
            self.set_theme(self._theme)
        self.header.take(sample, place, hot_c)
        self.temperature.set_limits(hot_c, sample)
        self.power.set_limits(sample)
        self.fan_curve.set_limits(hot_c, sample)
        self.mark_dirty()

    def go_on_without(self, now_s: float) -> None:
        """Go on when the rig no longer lists the card: its charts say so."""
        self.source.now_s = now_s
        self.header.say_gone()
        self.mark_dirty()

    def mark_dirty(self) -> None:
        """Have every part drawn anew by the clock."""
        for part in self.parts:
            part.dirty = True

    def set_theme(self, theme: Theme) -> None:
        """Take a theme, and the card's colour in it."""
        self._theme = theme
        colour = theme.card(self._place)
        self.header.set_theme(theme)
        self.temperature.set_theme(theme, colour)
        self.power.set_theme(theme, colour)
        self.fan_curve.set_theme(theme, colour)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Arrange the charts for the new size."""
        super().resizeEvent(event)
        width, height = self.width(), self.height()
        narrow = width < ONE_ROW_FROM_PX
        self.setMinimumHeight(STACKED_PX if narrow else LEAST_HEIGHT_PX)
        if narrow or (width < STACK_BELOW_PX and height >= STACK_ABOVE_PX):
            self._arrange(_Arrangement.STACKED)
        elif width >= STACK_BELOW_PX and height > width * 0.4:
            self._arrange(_Arrangement.BESIDE_WIDE)
        elif width < STACK_BELOW_PX:
            self._arrange(_Arrangement.BESIDE_NARROW)
        else:
            self._arrange(_Arrangement.BESIDE)

    def _arrange(self, arrangement: _Arrangement) -> None:
        if arrangement is self._arrangement:
            return
        self._arrangement = arrangement
        for chart in self.charts:
            self._grid.removeWidget(chart)
        self._grid.addWidget(self.temperature, 0, 0)
        self._grid.addWidget(self.power, 1, 0)
        if arrangement is _Arrangement.STACKED:
            self._grid.addWidget(self.fan_curve, 2, 0)
        else:
            self._grid.addWidget(self.fan_curve, 0, 1, 2, 1)
        for column, stretch in enumerate(arrangement.value):
            self._grid.setColumnStretch(column, stretch)
        for row, stretch in enumerate((10, 11, 12 if arrangement is _Arrangement.STACKED else 0)):
            self._grid.setRowStretch(row, stretch)


def _write(label: QLabel, text: str) -> None:
    if label.text() != text:
        label.setText(text)
