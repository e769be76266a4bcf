# SPDX-License-Identifier: MIT
"""The charts one by one: lines where they belong, gaps and words for what is missing."""

import dataclasses
import itertools

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.ui.charts.chart import Chart
from rigpanel.ui.charts.facts_line import FactsLine
from rigpanel.ui.charts.fan_curve_chart import FanCurveChart
from rigpanel.ui.charts.text import MINUS, ago
from rigpanel.ui.charts.time_charts import HistorySource, PowerChart, TemperatureChart
from rigpanel.ui.charts.time_window import TimeWindow
from rigpanel.ui.theme import DARK, LIGHT
from rigpanel.ui.words import of_whole
from rigpanel.watch.history import CardHistory, LastReadings, mean_duty_pct
from rigpanel.watch.phases import PhaseKind, PhaseLog

# the offscreen platform says this of every window that is shown
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Stand:
    """The three charts of one card, fed by hand."""

    def __init__(self, qtbot: QtBot) -> None:
        self.phases = PhaseLog()
        self.window = TimeWindow()
        self.source = HistorySource(CardHistory(5000), self.phases)
        self.temperature = TemperatureChart(self.source, self.window, DARK)
        self.power = PowerChart(self.source, self.window, DARK)
        self.fan_curve = FanCurveChart(self.source, self.window)
        self.sample = SimulatedRig(lambda: 0.0).read().cards[0]
        for chart in (self.temperature, self.power, self.fan_curve):
            chart.set_theme(DARK, DARK.card(0))
            qtbot.addWidget(chart)
            chart.resize(420, 200)
            chart.show()

    def take(self, at_s: float, **changed: object) -> GpuSample:
        sample = dataclasses.replace(self.sample, **changed)  # type: ignore[arg-type]
        self.source.now_s = at_s
        self.source.history.append(
            at_s,
            LastReadings(
                sample.temperature_c,
                sample.power_draw_w,
                sample.power_limit_w,
                mean_duty_pct(sample),
            ),
        )
        self.temperature.set_limits(85.0, sample)
        self.power.set_limits(sample)
        self.fan_curve.set_limits(85.0, sample)
        return sample

    def draw(self) -> None:
        for chart in (self.temperature, self.power, self.fan_curve):
            chart.redraw()
        QApplication.processEvents()


@pytest.fixture
def stand(qtbot: QtBot) -> Stand:
    return Stand(qtbot)


def colours_in(chart: Chart, colour: str) -> int:
    """Count pixels of the plot that come close to a colour."""
    image = chart.plot.grab().toImage()
    wanted = QColor(colour)
    found = 0
    for x, y in itertools.product(range(image.width()), range(image.height())):
        seen = image.pixelColor(x, y)
        off = max(
            abs(seen.red() - wanted.red()),
            abs(seen.green() - wanted.green()),
            abs(seen.blue() - wanted.blue()),
        )
        found += off < 70
    return found


def test_a_missing_reading_is_a_gap_and_a_word(stand: Stand) -> None:
    for at_s in range(20):
        missing = 8 <= at_s < 12
        stand.take(at_s, temperature_c=Missing.READ_FAILED if missing else 60.0)
    stand.draw()
    x, y = stand.temperature.curve.getData()
    assert np.isnan(y).sum() == 4
    assert x[-1] == 0.0
    assert np.nanmin(y) == 60.0, "a missing reading was drawn as a number"
    assert stand.temperature.word.isHidden()
    for reason, word in (
        (Missing.NOT_SUPPORTED, "not supported"),
        (Missing.NO_PERMISSION, "no permission"),
        (Missing.READ_FAILED, "read failed"),
        (Missing.GPU_LOST, "GPU lost"),
    ):
        stand.take(30.0, temperature_c=reason, power_draw_w=reason)
        stand.draw()
        for chart in (stand.temperature, stand.power, stand.fan_curve):
            assert chart.word.isVisible()
            assert chart.word.text() == word


def test_the_gap_shows_in_the_picture(stand: Stand) -> None:
    for at_s in range(61):
        stand.take(at_s, temperature_c=60.0)
    stand.draw()
    whole = colours_in(stand.temperature, DARK.card(0))
    for at_s in range(61, 122):
        stand.take(at_s, temperature_c=60.0 if at_s < 92 else Missing.GPU_LOST)
    stand.draw()
    assert whole > 300
    assert colours_in(stand.temperature, DARK.card(0)) < 0.7 * whole


def test_the_limit_lines_stand_at_their_values_and_are_named(stand: Stand) -> None:
    stand.take(1.0)
    stand.draw()
    assert stand.temperature.alert_line.value == 85.0
    assert stand.temperature.slowdown_line.value == 95.0
    assert "alert 85 °C" in stand.temperature.names.text()
    assert "slowdown 95 °C" in stand.temperature.names.text()
    assert stand.power.limit_line.value == 350.0
    assert stand.power.max_line.value == 400.0
    assert "limit 350 W" in stand.power.names.text()
    assert stand.fan_curve.min_line.value == 30.0
    assert stand.fan_curve.alert_line.value == 85.0
    assert colours_in(stand.temperature, DARK.hot) > 100
    stand.take(2.0, slowdown_c=Missing.NOT_SUPPORTED, power_limit_w=Missing.NO_PERMISSION)
    assert "slowdown" not in stand.temperature.names.text()
    assert not stand.temperature.slowdown_line.line.isVisible()
    assert not stand.power.limit_line.line.isVisible()


def test_a_limit_that_changed_is_drawn_as_it_was(stand: Stand) -> None:
    for at_s in range(10):
        stand.take(at_s, power_limit_w=350.0 if at_s < 5 else 280.0)
    stand.draw()
    _, limits = stand.power.past_limits.getData()
    assert set(limits.tolist()) == {350.0, 280.0}
    assert stand.power.limit_line.value == 280.0


def test_ranges_stand_still_whatever_is_drawn(stand: Stand) -> None:
    stand.take(1.0, temperature_c=40.0, power_draw_w=30.0)
    stand.draw()
    before = [chart.item.getViewBox().viewRange() for chart in (stand.temperature, stand.power)]
    for at_s in range(2, 50):
        stand.take(at_s, temperature_c=40.0 + at_s, power_draw_w=30.0 + 6 * at_s)
        stand.draw()
    after = [chart.item.getViewBox().viewRange() for chart in (stand.temperature, stand.power)]
    assert before == after
    (_, (low_c, high_c)), (_, (low_w, high_w)) = after
    assert low_c <= 20
    assert high_c >= 100
    assert (low_w, high_w) == (0.0, pytest.approx(440.0))
    stand.take(60.0, temperature_c=118.0)
    stand.draw()
    assert stand.temperature.item.getViewBox().viewRange()[1][1] >= 118.0


def test_every_time_axis_follows_one_window(stand: Stand) -> None:
    views = [chart.item.getViewBox() for chart in (stand.temperature, stand.power)]
    for view in views:
        assert view.linkedView(view.XAxis) is stand.window.leader
    stand.window.set_span(900.0)
    stand.power.resize(900, 150)
    QApplication.processEvents()
    for view in views:
        assert view.viewRange()[0] == [-900.0, 0.0]


def test_the_wheel_is_left_to_the_pane(stand: Stand) -> None:
    at = QPointF(200, 90)
    event = QWheelEvent(
        at, at, QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    before = stand.temperature.item.getViewBox().viewRange()
    QApplication.sendEvent(stand.temperature.plot.viewport(), event)
    assert stand.temperature.item.getViewBox().viewRange() == before
    assert not event.isAccepted()


def test_prefill_and_decode_are_shaded_where_they_were(stand: Stand) -> None:
    stand.phases.begin(PhaseKind.PREFILL, 20.0)
    stand.phases.begin(PhaseKind.DECODE, 30.0)
    for at_s in range(51):
        stand.take(at_s, temperature_c=50.0)
    stand.draw()
    expected = ((PhaseKind.PREFILL, -30.0, -20.0), (PhaseKind.DECODE, -20.0, 0.0))
    assert stand.temperature.bands.spans == expected
    assert stand.power.bands.spans == expected
    assert colours_in(stand.power, DARK.prefill) > 50
    assert colours_in(stand.power, DARK.decode) > 50
    stand.phases.end(50.0)
    stand.take(120.0)
    stand.draw()
    assert not stand.temperature.bands.spans


def test_the_operating_point_stands_at_temperature_and_duty(stand: Stand) -> None:
    assert not isinstance(stand.sample.fans, Missing)
    for at_s in range(40):
        fans = tuple(dataclasses.replace(x, duty_pct=40.0 + at_s) for x in stand.sample.fans)
        stand.take(at_s, temperature_c=50.0 + at_s / 2, fans=fans)
    stand.draw()
    x, y = stand.fan_curve.point.getData()
    assert (x[0], y[0]) == (69.5, 79.0)
    assert stand.fan_curve.point_text.toPlainText() == "70 °C · 79 %"
    assert "card's own control" in stand.fan_curve.readout.text()
    points = sum(len(trace.getData()[0]) for trace in stand.fan_curve.traces)
    assert points == 40
    newest, oldest = stand.fan_curve.traces[0], stand.fan_curve.traces[-1]
    assert newest.opts["brush"].color().alpha() > oldest.opts["brush"].color().alpha()


def test_fans_set_by_a_program_are_said_to_be(stand: Stand) -> None:
    assert not isinstance(stand.sample.fans, Missing)
    fans = tuple(dataclasses.replace(fan, policy="manual") for fan in stand.sample.fans)
    stand.take(1.0, fans=fans)
    stand.draw()
    assert stand.fan_curve.readout.text() == "set by a program"


def test_a_fanless_card_says_so(stand: Stand) -> None:
    stand.take(1.0, fans=())
    stand.draw()
    assert stand.fan_curve.word.text() == "no fan on this card"
    assert stand.temperature.word.isHidden()


def test_the_crosshair_tells_the_value_on_every_chart(stand: Stand) -> None:
    for at_s in range(61):
        stand.take(at_s, temperature_c=40.0 + at_s / 2, power_draw_w=100.0 + at_s)
    stand.draw()
    stand.window.move_cursor(-20.0)
    assert stand.temperature.readout.text() == f"60 °C at {MINUS}20 s"
    assert stand.power.readout.text() == f"140 W at {MINUS}20 s"
    assert stand.temperature.readout.isVisible()
    stand.window.move_cursor(5.0)
    assert stand.temperature.readout.text() == "peak 70 °C"


def test_an_hour_is_drawn_with_its_peaks_and_few_points(stand: Stand) -> None:
    for at_s in range(3600):
        stand.take(at_s, power_draw_w=345.0 if at_s == 1800 else 100.0)
    stand.window.set_span(3600.0)
    stand.draw()
    x, y = stand.power.curve.getData()
    assert len(x) < 3000
    assert y.max() == 345.0


def test_time_in_words() -> None:
    words = [ago(x) for x in (-0.2, -30, -60, -75, -3600)]
    assert words == [
        "now", f"{MINUS}30 s", f"{MINUS}1 min", f"{MINUS}1:15 min", f"{MINUS}60 min",
    ]  # fmt: skip
    assert of_whole(Missing.NO_PERMISSION, 350.0, "W") == "no permission"
    assert of_whole(312.4, Missing.NOT_SUPPORTED, "W") == "312 W"
    assert of_whole(20339.0, 24576.0, "GiB", 1024.0) == "19.9 / 24.0 GiB"


def test_facts_stay_in_place_while_their_figures_change(qtbot: QtBot) -> None:
    line = FactsLine(LIGHT)
    qtbot.addWidget(line)
    line.resize(500, 20)
    line.show()
    line.set_facts((("load", "100 %"), ("core", "1695 MHz")))
    place = line.places[1]
    line.set_facts((("load", "5 %"), ("core", "210 MHz")))
    assert line.places[1] == place
    assert line.text() == "load 5 % · core 210 MHz"
    line.resize(90, 20)
    QApplication.processEvents()
    assert line.height() > 30, "what does not fit in one line goes to a second"
