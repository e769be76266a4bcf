# SPDX-License-Identifier: MIT
"""The window: its panes, how it folds, what it keeps, its banners and its one status line."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QFontDatabase, QFontMetrics, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QDoubleSpinBox
from pytestqt.qtbot import QtBot

from rigpanel import paths
from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.rig.readings import Missing
from rigpanel.settings import (
    COOL_C,
    HOT_C,
    KEEP_IN_TRAY,
    LAST_MODEL,
    RPC_SERVERS,
    SETTINGS,
    THEME,
    Setting,
    SettingsStore,
)
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.main_window import MainWindow
from rigpanel.ui.panes.load.outside import Outside
from rigpanel.ui.rail import PAGES
from rigpanel.ui.theme import LIGHT
from rigpanel.ui.theme_apply import apply_theme
from rigpanel.ui.window_layout import WindowLayout, read_layout
from rigpanel.watch.alerts import Alert, AlertKind
from tests.ui.window_fixtures import ScriptedEngine, play, snapshot, tick, until, words_in

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support")

HOT = Alert(
    AlertKind.HOT,
    "GPU-1",
    "GPU 1 · RTX 3090",
    "GPU 1 · RTX 3090 rose to 86 °C. Stop the reply.",
    1e9,
)


class Desk:
    """A window with everything it is given."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self._qtbot = qtbot
        self._windows: list[MainWindow] = []
        self.settings = SettingsStore(folder / "settings.toml")
        self.engine = ScriptedEngine()
        self.watch = WatchBridge()
        self.window = self.open()

    def open(self, outside: Outside | None = None) -> MainWindow:
        self.bridge = EngineBridge(self.engine)
        window = MainWindow(self.settings, self.watch, self.bridge, outside=outside)
        self._windows.append(window)
        window.resize(1400, 850)
        window.show()
        self._qtbot.waitExposed(window)
        return window

    def clear(self) -> None:
        """Let nothing of a window outlast its test: every style sheet would be put on it too."""
        for window in self._windows:
            window.hide()
            window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path, qapp: QApplication) -> Iterator[Desk]:
    apply_theme(qapp, "dark")
    desk = Desk(qtbot, tmp_path)
    yield desk
    desk.clear()
    qapp.setStyleSheet("")


def test_loader_chat_and_charts_stand_side_by_side(desk: Desk) -> None:
    window = desk.window
    parts = [window.load_pane, window.chat_pane, window.monitor_pane]
    assert all(part.isVisible() for part in parts)
    lefts = [part.mapTo(window, part.rect().topLeft()).x() for part in parts]
    assert lefts == sorted(lefts)
    assert window.strip.isVisible()


@pytest.mark.parametrize("name", MainWindow.PANES)
def test_every_pane_can_be_shown(desk: Desk, qtbot: QtBot, name: str) -> None:
    window = desk.window
    desk.watch.tick_ready.emit(tick(snapshot(2)))
    window.show_pane(name)
    panes = {
        "load": window.load_pane,
        "chat": window.chat_pane,
        "monitor": window.monitor_pane,
        "fans": window.fans_pane,
        "alerts": window.alerts_pane,
        "settings": window.settings_pane,
    }
    shown = {key for key, pane in panes.items() if pane.isVisible()}
    assert shown == ({"load", "chat", "monitor"} if name == "rig" else {name})
    if name != "rig":
        qtbot.waitUntil(lambda: panes[name].width() > window.width() * 0.85)
    assert window.strip.isVisible()
    window.show_pane("rig")
    assert window.load_pane.isVisible()


def test_a_narrow_window_folds_the_loader_and_a_button_brings_it_back(desk: Desk) -> None:
    window = desk.window
    window.resize(1100, 800)
    assert not window.load_pane.isVisible()
    assert window.chat_pane.isVisible()
    window.unfold.click()
    assert window.load_pane.isVisible()
    window.load_pane.fold.click()
    assert not window.load_pane.isVisible()
    window.resize(1400, 800)
    assert window.load_pane.isVisible()


def test_at_its_least_nothing_reaches_over_the_windows_edge(desk: Desk, qtbot: QtBot) -> None:
    window = desk.window
    desk.watch.tick_ready.emit(tick(snapshot(2)))
    window.resize(window.minimumSize())
    parts = (window.load_pane, window.chat_pane, window.monitor_pane)

    def inside() -> bool:
        rights = [
            part.mapTo(window, part.rect().topRight()).x() for part in parts if part.isVisible()
        ]
        return max(rights) < window.width()

    qtbot.waitUntil(inside)
    assert [part.isVisible() for part in parts] == [False, True, True]
    window.unfold.click()
    qtbot.waitUntil(inside)
    assert [part.isVisible() for part in parts] == [True, True, False]
    window.load_pane.fold.click()
    assert window.monitor_pane.isVisible()


def test_the_window_comes_back_as_it_was_left(desk: Desk) -> None:
    window = desk.window
    window.resize(700 + 600, 700)
    window.load_pane.fold.click()
    window.hide()
    again = desk.open()
    assert not again.load_pane.isVisible()
    kept = read_layout(paths.data_dir() / "window.json")
    assert kept is not None
    assert (kept.width, kept.height, kept.loader_shown) == (1300, 700, False)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"parts": [1, "2", 3]}', "\x00", '{"width": 1e9}']
)
def test_a_spoilt_layout_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "window.json"
    path.write_text(text)
    assert read_layout(path) is None
    assert read_layout(tmp_path / "not there") is None
    path.write_text('{"width": 900, "height": 700, "parts": [300, 400, 500], "loader_shown": null}')
    assert read_layout(path) == WindowLayout(900, 700, (300, 400, 500), None)


def test_closing_goes_to_the_tray_or_asks_to_quit(desk: Desk, qtbot: QtBot) -> None:
    window = desk.window
    window.hide_on_close = True
    window.close()
    assert not window.isVisible()
    window.raise_window()
    assert window.isVisible()
    window.hide_on_close = False
    with qtbot.waitSignal(window.quit_requested):
        window.close()


def test_a_simulated_rig_is_always_marked(desk: Desk) -> None:
    banners = desk.window.banners
    desk.watch.tick_ready.emit(tick(snapshot(2)))
    assert banners.simulated.isVisible()
    assert "nothing of theirs is measured" in banners.simulated.sentence
    assert desk.window.status_line.rig.isVisible()
    real = dataclasses.replace(snapshot(2), simulated=False)
    desk.watch.tick_ready.emit(tick(real))
    assert not banners.simulated.isVisible()
    assert not desk.window.status_line.rig.isVisible()


def test_without_a_driver_it_says_what_to_do(desk: Desk) -> None:
    rig = dataclasses.replace(
        snapshot(0),
        simulated=False,
        gpus=Missing.READ_FAILED,
        driver_problem="The NVIDIA driver is not loaded. Run nvidia-smi to see why.",
    )
    desk.watch.tick_ready.emit(tick(rig))
    assert desk.window.banners.driver.isVisible()
    assert "nvidia-smi" in desk.window.banners.driver.sentence
    assert "run on the CPU" in desk.window.banners.driver.sentence
    assert desk.window.strip.host.isVisible()
    assert words_in(desk.window).count("nvidia-smi") == 1


def test_without_a_card_the_simulated_rig_is_offered(desk: Desk, qtbot: QtBot) -> None:
    banners = desk.window.banners
    lost = dataclasses.replace(
        snapshot(2), simulated=False, driver_problem="The NVIDIA driver does not answer."
    )
    desk.watch.tick_ready.emit(tick(dataclasses.replace(lost, gpus=Missing.READ_FAILED)))
    assert banners.look_around.isVisible()
    with qtbot.waitSignal(banners.demo_requested):
        QTest.mouseClick(banners.look_around, Qt.MouseButton.LeftButton)
    desk.watch.tick_ready.emit(tick(lost))
    assert banners.driver.isVisible()
    assert not banners.look_around.isVisible()  # Cards that were lost come back by themselves.


def test_an_alert_stands_in_the_banner_the_status_line_and_the_pane_until_it_clears(
    desk: Desk,
) -> None:
    window, rig = desk.window, snapshot(2, temperature_c=86.0)
    desk.watch.tick_ready.emit(tick(rig, HOT, standing=(HOT,)))
    desk.watch.tick_ready.emit(tick(rig, standing=(HOT,)))
    assert window.banners.alert.isVisible()
    assert "GPU 1" in window.banners.alert.sentence
    assert window.status_line.alerts.text() == "1 alert"
    window.show_pane("alerts")
    assert "86 °C" in window.alerts_pane.standing[0]
    assert not window.alerts_pane.calm.isVisible()
    over = dataclasses.replace(HOT, cleared_at_s=1e9 + 67)
    desk.watch.tick_ready.emit(tick(snapshot(2), over))
    assert not window.banners.alert.isVisible()
    assert window.status_line.alerts.text() == "No alerts"
    assert window.alerts_pane.standing == ()
    assert "for 67 s" in window.alerts_pane.earlier[0]
    assert window.alerts_pane.calm.isVisible()


def test_many_alerts_do_not_take_the_window(desk: Desk) -> None:
    alerts = tuple(dataclasses.replace(HOT, uuid=f"GPU-{place}") for place in range(8))
    desk.watch.tick_ready.emit(tick(snapshot(8), *alerts, standing=alerts))
    assert "And 5 more" in desk.window.banners.alert.sentence
    assert desk.window.banners.height() < 160


def test_the_status_line_says_what_is_loaded_and_where(desk: Desk) -> None:
    line = desk.window.status_line
    assert "no model loaded" in line.engine.text()
    desk.engine.make_ready()
    assert line.engine.text() == "Engine: Llama 3 70B Instruct (Q4_K_M) on CUDA0, CUDA1"
    desk.engine.put(EngineStatus(EngineState.STOPPED, None, "The engine ended on signal 9."))
    assert "ended" in line.engine.text()
    desk.watch.tick_ready.emit(tick(snapshot(2)))
    assert line.fans.text() == "Fans: the cards' own control"


def test_the_rail_and_its_keys_lead_to_the_pages(desk: Desk) -> None:
    window = desk.window
    for page, pane in (("fans", window.fans_pane), ("settings", window.settings_pane)):
        key = Qt.Key(Qt.Key.Key_1 + [name for name, _ in PAGES].index(page))
        QTest.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert pane.isVisible()
    QTest.keyClick(window, Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    assert window.chat_pane.isVisible()
    assert window.chat_pane.composer.hasFocus()
    QTest.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert not window.load_pane.isVisible()


def test_the_models_here_are_a_key_away_wherever_one_writes(desk: Desk, qapp: QApplication) -> None:
    async def scenario() -> None:
        window = desk.open(Outside(places=lambda _settings: ()))
        desk.window.hide()
        window.activateWindow()
        await until(window.isActiveWindow, "the keys go to it")
        window.chat_pane.focus_composer()
        press = Qt.KeyboardModifier.ControlModifier
        QTest.keyClick(window.chat_pane.composer, Qt.Key.Key_B, press)
        assert not window.load_pane.isVisible()
        QTest.keyClick(window.chat_pane.composer, Qt.Key.Key_M, press)
        page = window.load_pane.pages.library
        assert page is not None
        assert page.isVisible()
        await until(lambda: "Looking" not in page.says.text(), "it has looked")

    play(qapp, scenario())


def test_it_tells_of_its_first_frame_once(desk: Desk, qtbot: QtBot) -> None:
    window = MainWindow(desk.settings, desk.watch, desk.bridge)
    qtbot.addWidget(window)
    told: list[bool] = []
    window.first_painted.connect(lambda: told.append(window.isVisible()))
    with qtbot.waitSignal(window.first_painted):
        window.show()
    window.grab()
    QCoreApplication.processEvents()
    assert told == [True]


def test_every_setting_is_offered_and_applied_at_once(desk: Desk) -> None:
    pane = desk.window.settings_pane
    set_in_the_loader = {LAST_MODEL.key, RPC_SERVERS.key}
    assert set(pane.editors) == {s.key for s in SETTINGS} - set_in_the_loader
    hot = pane.editors[HOT_C.key]
    assert isinstance(hot, QDoubleSpinBox)
    assert hot.text() == "85.0 °C"
    hot.setValue(90.0)
    assert desk.settings.get(HOT_C) == 90.0
    assert "above 90 °C" in words_in(desk.window.alerts_pane)
    tray = pane.editors[KEEP_IN_TRAY.key]
    assert isinstance(tray, QCheckBox)
    tray.click()
    assert desk.settings.get(KEEP_IN_TRAY) is False


def test_a_refused_setting_says_why_under_its_row(desk: Desk) -> None:
    desk.window.show_pane("settings")
    pane = desk.window.settings_pane
    cool = pane.editors[COOL_C.key]
    assert isinstance(cool, QDoubleSpinBox)
    cool.setValue(99.0)
    assert desk.settings.get(COOL_C) == 82.0
    assert pane.errors[COOL_C.key].isVisible()
    assert "must be below" in pane.errors[COOL_C.key].text()
    assert "Still in force: 82.0 °C" in pane.errors[COOL_C.key].text()
    tray = pane.editors[KEEP_IN_TRAY.key]
    assert isinstance(tray, QCheckBox)
    tray.click()
    assert pane.errors[COOL_C.key].isVisible(), "the field still shows what is not in force"
    hot = pane.editors[HOT_C.key]
    assert isinstance(hot, QDoubleSpinBox)
    hot.setValue(105.0)
    assert (desk.settings.get(HOT_C), desk.settings.get(COOL_C)) == (105.0, 99.0)
    assert not pane.errors[COOL_C.key].isVisible()


def test_the_wheel_over_a_setting_scrolls_the_page(desk: Desk) -> None:
    desk.window.show_pane("settings")
    pane = desk.window.settings_pane
    wheeled: tuple[Setting[Any], ...] = (HOT_C, THEME)
    for setting in wheeled:
        before = desk.settings.get(setting)
        editor = pane.editors[setting.key]
        at = QPointF(editor.rect().center())
        wheel = QWheelEvent(
            at, editor.mapToGlobal(at), QPoint(), QPoint(0, -120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(editor, wheel)
        assert desk.settings.get(setting) == before


def test_a_theme_is_put_on_everything_at_once(desk: Desk, qtbot: QtBot) -> None:
    desk.watch.tick_ready.emit(tick(snapshot(2)))
    theme = desk.window.settings_pane.editors[THEME.key]
    assert isinstance(theme, QComboBox)
    theme.setCurrentText("light")
    tile = desk.window.strip.tiles["GPU-0"]
    qtbot.waitUntil(lambda: not tile.visibleRegion().isEmpty())
    picture = desk.window.grab().toImage()
    inside = tile.mapTo(desk.window, QPoint(tile.width() // 2, 4))
    assert picture.pixelColor(78, 4).name() == LIGHT.background
    assert picture.pixelColor(10, 400).name() == LIGHT.surface
    assert picture.pixelColor(inside).name() == LIGHT.surface


def test_the_font_comes_with_the_program(desk: Desk, qapp: QApplication) -> None:
    assert "Inter" in QFontDatabase.families()
    metrics = QFontMetrics(qapp.font())
    assert metrics.horizontalAdvance("111") == metrics.horizontalAdvance("888")
