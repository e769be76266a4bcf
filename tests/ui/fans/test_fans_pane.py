# SPDX-License-Identifier: MIT
"""The fans pane on the simulated rig: drawing by pointer and keys, applying, confirming."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QTableWidgetItem, QWidget
from pytestqt.qtbot import QtBot

from rigpanel.cooling.curve import curve_as_json
from rigpanel.cooling.presets import BALANCED, COOL
from rigpanel.rig.simulated import UUIDS, SimulatedRig
from rigpanel.settings import SettingsStore
from rigpanel.ui.bridges import WatchBridge
from rigpanel.ui.panes.fans.card_choice import CardChoice
from rigpanel.ui.panes.fans.curve_files import BOTTOM
from rigpanel.ui.panes.fans.fans_pane import FansPane
from rigpanel.ui.panes.fans.helper_link import HelperLink, SimulatedLink
from rigpanel.ui.theme import DARK, LIGHT
from rigpanel.watch.history import RigHistory
from rigpanel.watch.tick import Tick
from tests.ui.window_fixtures import words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Shown:
    """A pane over a simulated rig whose clock the test turns."""

    def __init__(self, folder: Path, *, helper: bool = True, built: bool = True) -> None:
        self.now = 0.0
        self.rig = SimulatedRig(lambda: self.now)
        self.rig.set_load((0.6, 0.6))
        self.watch = WatchBridge()
        self.history = RigHistory()
        self.link = SimulatedLink(self.rig) if helper else HelperLink()
        if isinstance(self.link, SimulatedLink):
            self.watch.tick_ready.connect(self.link.take_tick)
        settings = SettingsStore(folder / "settings.toml")
        self.pane = FansPane(self.watch, settings, self.history, self.link, DARK)
        self.parts = self.pane.parts
        self.pane.resize(1180, 640)
        if built:
            self.pane.build_now()
        self.pane.show()
        if built:
            QTest.qWaitForWindowExposed(self.pane)
        self.ticks(35)

    def ticks(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += 1.0
            tick = Tick(self.now, self.rig.read(), (), ())
            self.history.append(tick)
            self.watch.on_tick(tick)

    def record(self, load: float, seconds: int) -> None:
        """Let time pass that only the history sees."""
        self.rig.set_load((load, load))
        for _ in range(seconds):
            self.now += 1.0
            self.history.append(Tick(self.now, self.rig.read(), (), ()))

    @property
    def points(self) -> list[tuple[float, float]]:
        assert self.pane.editor is not None
        return list(self.pane.editor.points)

    def at(self, at_c: float, duty_pct: float) -> QPointF:
        """Return where a place of the plot is on the plot's viewport."""
        view = self.parts.board.plot.item.getViewBox()
        return QPointF(
            self.parts.board.plot.plot.mapFromScene(view.mapViewToScene(QPointF(at_c, duty_pct)))
        )

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        viewport = self.parts.board.plot.plot.viewport()
        left = Qt.MouseButton.LeftButton
        first, last = self.at(*begin).toPoint(), self.at(*end).toPoint()
        QTest.mousePress(viewport, left, pos=first)
        for step in range(1, 6):
            QTest.mouseMove(viewport, first + (last - first) * step / 5)
            QTest.qWait(20)
        QTest.mouseRelease(viewport, left, pos=last)

    def cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.parts.side.table.item(row, column)
        assert item is not None
        return item

    def manual(self, place: int) -> bool:
        fans = self.rig.read().cards[place].fans
        assert isinstance(fans, tuple)
        return fans[0].policy == "manual"


@pytest.fixture
def shown(qapp: QApplication, tmp_path: Path) -> Iterator[Shown]:
    shown = Shown(tmp_path)
    yield shown
    shown.pane.close()
    shown.pane.deleteLater()


def test_a_point_is_dragged_and_the_drag_undone(shown: Shown) -> None:
    before = shown.points
    at_c, duty = before[2]
    shown.drag((at_c, duty), (66, 80))
    assert shown.points[2] == pytest.approx((66, 80), abs=1.5)
    assert [*shown.points[:2], *shown.points[3:]] == [*before[:2], *before[3:]]
    assert shown.cell(2, 0).text() == f"{shown.points[2][0]:g}"
    QTest.keyClick(shown.parts.board.plot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert shown.points == before
    QTest.mouseClick(shown.parts.board.redo, Qt.MouseButton.LeftButton)
    assert shown.points[2] == pytest.approx((66, 80), abs=1.5)
    assert not shown.manual(0)  # drawn is not applied


def test_a_double_click_adds_a_point(shown: Shown) -> None:
    count = len(shown.points)
    viewport = shown.parts.board.plot.plot.viewport()
    where = shown.at(50, 44).toPoint()
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=where)
    QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=where)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=where)
    assert len(shown.points) == count + 1
    assert shown.points[1] == pytest.approx((50, 44), abs=1.5)


def test_a_curve_is_drawn_with_the_keys_alone(shown: Shown) -> None:
    plot = shown.parts.board.plot
    plot.setFocus()
    QTest.keyClick(plot, Qt.Key.Key_PageDown)
    QTest.keyClick(plot, Qt.Key.Key_Right)
    QTest.keyClick(plot, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    assert shown.points[:2] == [(40, 30), (61, 55)]
    QTest.keyClick(plot, Qt.Key.Key_Insert)
    assert len(shown.points) == 6
    QTest.keyClick(plot, Qt.Key.Key_Delete)
    QTest.keyClick(plot, Qt.Key.Key_Delete)
    assert len(shown.points) == 4
    assert "Point" in plot.accessibleDescription()


def test_figures_are_typed(shown: Shown) -> None:
    shown.cell(2, 1).setText("70")
    assert shown.points[1:3] == [(60, 50), (72, 70)]
    shown.cell(2, 0).setText("hot")
    assert shown.cell(2, 0).text() == "72"
    shown.parts.side.smoothing.critical.setValue(88)
    assert shown.pane.editor is not None
    assert shown.pane.editor.curve.critical_c == 88
    assert shown.parts.board.plot.critical_line.value == 88


def test_applied_kept_and_handed_back(shown: Shown) -> None:
    shown.parts.foot.apply.click()
    shown.ticks()
    assert shown.manual(0)
    assert "goes back in" in shown.parts.trial.sentence.text()
    assert not shown.parts.foot.apply.isEnabled()
    shown.parts.trial.keep.click()
    shown.ticks(15)
    assert shown.parts.trial.isHidden()
    assert shown.manual(0)
    assert shown.parts.side.held.text() == "On its curve"
    shown.parts.foot.auto.click()
    shown.ticks()
    assert not shown.manual(0)
    assert shown.parts.side.held.text() == "Card's own control"


def test_a_drawing_outlasts_its_trial_and_can_still_be_undone(shown: Shown) -> None:
    shown.cell(2, 1).setText("70")
    drawn = shown.points
    shown.parts.foot.apply.click()
    shown.ticks(13)
    assert shown.points == drawn
    assert shown.parts.foot.unapplied.isVisible()
    shown.parts.board.undo.click()
    assert shown.points == list(BALANCED.points)


def test_a_curve_set_from_elsewhere_is_taken_over_unless_one_is_being_drawn(shown: Shown) -> None:
    order = {"gpu": UUIDS[0], "curve": curve_as_json(COOL)}
    shown.link.ask("set_curve", **order)
    assert shown.points == list(COOL.points)
    shown.cell(2, 1).setText("99")
    drawn = shown.points
    shown.link.ask("set_curve", **{**order, "curve": curve_as_json(BALANCED)})
    assert shown.points == drawn
    assert len(shown.parts.board.plot.in_force.getData()[0]) > 2


def test_without_a_word_it_goes_back(shown: Shown) -> None:
    shown.parts.foot.apply.click()
    shown.ticks(5)
    assert shown.manual(0)
    shown.ticks(8)
    assert not shown.manual(0)
    assert shown.parts.trial.isHidden()
    assert "was not confirmed" in shown.parts.foot.said.text()


def test_a_trial_is_begun_and_confirmed_by_keys_alone(shown: Shown) -> None:
    shown.parts.foot.apply.setFocus()
    QTest.keyClick(shown.parts.foot.apply, Qt.Key.Key_Space)
    shown.ticks()
    focused = shown.pane.focusWidget()
    assert (
        focused is shown.parts.board.plot
    )  # not in another part of the window, where no key is heard
    QTest.keyClick(focused, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    shown.ticks(15)
    assert shown.manual(0)
    assert "not confirmed" not in shown.parts.foot.said.text()


def test_it_is_taken_back_at_once(shown: Shown) -> None:
    shown.parts.foot.apply.click()
    shown.parts.trial.back.click()
    shown.ticks()
    assert not shown.manual(0)
    assert "not confirmed" not in shown.parts.foot.said.text()


def test_each_card_has_its_own_drawing(shown: Shown) -> None:
    shown.cell(0, 1).setText("40")
    second = shown.parts.cards.findChildren(type(shown.parts.foot.apply))[1]
    second.click()
    assert shown.points == list(BALANCED.points)
    shown.parts.foot.apply.click()
    shown.ticks()
    assert (shown.manual(0), shown.manual(1)) == (False, True)
    assert "on trial" in second.text()


def test_presets_copying_and_own_presets(shown: Shown) -> None:
    presets = shown.parts.side.presets
    presets.setCurrentIndex(presets.findData("Cool"))
    presets.activated.emit(presets.currentIndex())
    assert shown.points == list(COOL.points)
    presets.setCurrentIndex(presets.findData(BOTTOM))
    presets.activated.emit(presets.currentIndex())
    assert shown.points == [(at_c - 6, duty) for at_c, duty in COOL.points]
    shown.parts.side.name.setText("Bottom")
    shown.parts.side.save.click()
    assert presets.findData("Bottom") > 0
    shown.parts.side.copy_to.click()
    assert "GPU 1" in shown.parts.foot.said.text()
    shown.parts.cards.findChildren(type(shown.parts.foot.apply))[1].click()
    assert shown.points == [(at_c - 6, duty) for at_c, duty in COOL.points]
    shown.parts.side.name.setText("Quiet")
    shown.parts.side.save.click()
    assert "choose another" in shown.parts.foot.said.text()


@pytest.mark.parametrize(
    ("width", "words"), [(1500, "GPU 7   36 °C   30 %"), (1030, "GPU 7   36 °C"), (616, "GPU 7")]
)
def test_eight_cards_have_room_for_their_words(qapp: QApplication, width: int, words: str) -> None:
    one = SimulatedRig(lambda: 0.0).read().cards[0]
    choice = CardChoice()
    cards = [replace(one, index=index, uuid=f"GPU-{index}") for index in range(8)]
    choice.show_cards(tuple(cards), {})
    choice.resize(width, 30)
    choice.show()
    QTest.qWaitForWindowExposed(choice)
    made = choice.findChildren(QPushButton)
    assert len(made) == 8
    assert made[-1].text() == words
    assert all(each.width() >= each.sizeHint().width() for each in made)


def test_the_limits_and_the_card_now_are_drawn(shown: Shown) -> None:
    plot = shown.parts.board.plot
    assert (plot.min_line.value, plot.alert_line.value, plot.critical_line.value) == (30, 85, 90)
    at_c = shown.rig.read().cards[0].temperature_c
    x, y = plot.now.getData()
    assert (list(x), len(y)) == ([at_c], 1)
    assert len(plot.trail.getData()[0]) > 10
    shown.pane.set_theme(LIGHT)


def test_without_a_helper_it_says_what_mends_it(qapp: QApplication, tmp_path: Path) -> None:
    shown = Shown(tmp_path, helper=False)
    assert shown.parts.side.power.watts.text() == "not known"
    words = words_in(shown.pane)
    assert "The fan helper does not run" in words
    assert not shown.parts.foot.apply.isEnabled()
    assert not shown.parts.helper.install.isHidden()
    shown.drag(shown.points[1], (55, 45))
    assert shown.points[1] != BALANCED.points[1]
    shown.pane.close()
    shown.pane.deleteLater()


def test_the_simulated_cards_are_the_rigs(shown: Shown) -> None:
    assert shown.parts.cards.chosen == UUIDS[0]


def test_a_power_limit_is_tried_and_runs_out(shown: Shown) -> None:
    power = shown.parts.side.power
    shown.rig.set_load((1.0, 1.0))
    shown.ticks(5)
    assert power.watts.value() == 350
    power.watts.setValue(250)
    power.set.click()
    shown.ticks(5)
    card = shown.rig.read().cards[0]
    assert card.power_limit_w == 250
    assert card.power_draw_w == pytest.approx(250, abs=1)
    assert shown.parts.trial.isVisible()
    shown.ticks(12)
    assert shown.rig.read().cards[0].power_limit_w == 350
    assert "taken back" in words_in(shown.parts.foot)


def test_a_preview_says_what_is_reckoned_and_why_it_may_not_be(shown: Shown, qtbot: QtBot) -> None:
    preview = shown.parts.board.preview
    qtbot.waitUntil(lambda: "Temperatures are not reckoned anew: that takes 5" in preview.text())
    for load in (0.1, 1.0, 0.5, 1.0, 0.2):
        shown.record(load, 100)
    shown.ticks(10)
    qtbot.waitUntil(lambda: preview.text().startswith("Estimate for the last 9 min"))
    assert "never above 85 °C (recorded: never)" in preview.text()
    assert "misses the recorded temperatures by 0." in preview.text()
    shown.parts.side.fan.setCurrentIndex(1)
    shown.parts.side.fan.activated.emit(1)
    qtbot.waitUntil(lambda: "how much one fan alone cools" in preview.text())


def test_it_is_built_part_by_part(qapp: QApplication, tmp_path: Path, qtbot: QtBot) -> None:
    shown = Shown(tmp_path, built=False)
    assert not shown.pane.built
    assert "GPU 1" in words_on_buttons(shown.pane)
    qtbot.waitUntil(lambda: shown.pane.built)
    assert shown.points == list(BALANCED.points)
    assert shown.parts.board.plot.hasFocus()
    shown.pane.close()
    shown.pane.deleteLater()


@pytest.mark.parametrize("width", [1180, 616])
def test_nothing_stands_on_another(shown: Shown, qtbot: QtBot, width: int) -> None:
    shown.pane.resize(width, 300)
    parts = shown.parts
    inside, viewport = parts.body.widget(), parts.body.viewport()
    assert inside is not None
    fields = (
        *(parts.board.plot, parts.board.snap, parts.board.preview, parts.past),
        *(parts.side.table, parts.side.smoothing, parts.side.power, parts.side.save),
    )

    def apart() -> bool:
        places = [QRect(part.mapTo(inside, QPoint()), part.size()) for part in fields]
        pairs = itertools.combinations(places, 2)
        return not any(first.intersects(second) for first, second in pairs)

    qtbot.waitUntil(lambda: "anew" in parts.board.preview.text())
    qtbot.waitUntil(apart)
    assert inside.width() <= viewport.width()
    foot = QRect(parts.foot.mapTo(shown.pane, QPoint()), parts.foot.size())
    assert shown.pane.rect().contains(foot)


def words_on_buttons(widget: QWidget) -> str:
    return "\n".join(button.text() for button in widget.findChildren(QPushButton))
