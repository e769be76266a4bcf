# SPDX-License-Identifier: MIT
"""The rig strip: a tile a card whose word changes with its state, two cards or eight, or none."""

import dataclasses
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from rigpanel.rig.readings import Missing
from rigpanel.settings import COOL_C, HOT_C, SettingsStore
from rigpanel.ui.card_tile import CardTile
from rigpanel.ui.rig_strip import RigStrip
from rigpanel.ui.theme import DARK, LIGHT
from rigpanel.ui.words import CardState
from tests.ui.window_fixtures import LOST, snapshot, tick

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


@pytest.fixture
def settings(tmp_path: Path) -> SettingsStore:
    return SettingsStore(tmp_path / "settings.toml")


@pytest.fixture
def strip(qtbot: QtBot, settings: SettingsStore) -> RigStrip:
    strip = RigStrip(settings, DARK)
    qtbot.addWidget(strip)
    strip.resize(1200, 100)
    strip.show()
    return strip


def last(strip: RigStrip) -> CardTile:
    return list(strip.tiles.values())[-1]


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"temperature_c": 60.0}, CardState.OK),
        ({"temperature_c": 80.0}, CardState.WARM),
        ({"temperature_c": 86.0}, CardState.HOT),
        ({"temperature_c": 70.0, "throttle_reasons": ("hw_thermal_slowdown",)}, "throttling"),
        ({"temperature_c": 70.0, "throttle_reasons": ("sw_power_cap",)}, CardState.OK),
        ({"temperature_c": Missing.READ_FAILED}, CardState.UNKNOWN),
        (LOST, CardState.LOST),
    ],
)
def test_the_word_says_how_the_card_is(
    strip: RigStrip, changed: dict[str, object], state: CardState | str
) -> None:
    strip.take_tick(tick(snapshot(2, **changed)))
    assert last(strip).state is CardState(state)
    assert CardState(state).value in last(strip).accessibleName()


def test_the_state_follows_the_persons_own_alert_temperature(
    strip: RigStrip, settings: SettingsStore
) -> None:
    settings.set(COOL_C, 60.0)
    settings.set(HOT_C, 65.0)
    strip.take_tick(tick(snapshot(2, temperature_c=66.0)))
    assert last(strip).state is CardState.HOT


def test_a_missing_reading_is_a_word_and_never_a_zero(strip: RigStrip) -> None:
    strip.take_tick(
        tick(snapshot(2, power_draw_w=Missing.NOT_SUPPORTED, fans=Missing.NO_PERMISSION))
    )
    assert last(strip).summary() == "power not supported · fans no permission"
    strip.take_tick(tick(snapshot(2, fans=())))
    assert last(strip).summary().endswith("no fan")


def test_the_figures_have_their_units(strip: RigStrip) -> None:
    strip.take_tick(
        tick(snapshot(1, power_draw_w=312.4, power_limit_w=350.0, memory_used_mib=20480.0))
    )
    assert "312 / 350 W" in last(strip).toolTip()
    assert "20.0 / 24.0 GiB" in last(strip).toolTip()


def test_the_tile_takes_the_colour_of_its_state(strip: RigStrip) -> None:
    def edge() -> str:
        strip.take_tick(tick(snapshot(1, temperature_c=temperature_c)))
        return last(strip).grab().toImage().pixelColor(600, 0).name()

    temperature_c = 60.0
    assert edge() == DARK.border
    temperature_c = 90.0
    assert edge() == DARK.hot


def test_eight_cards_stand_side_by_side_and_scroll_where_there_is_no_room(
    strip: RigStrip, qtbot: QtBot
) -> None:
    strip.take_tick(tick(snapshot(8)))
    assert len(strip.tiles) == 8
    bar = strip.horizontalScrollBar()
    assert bar.maximum() == 0
    strip.resize(800, 100)
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    strip.grab()


def test_cards_come_and_go(strip: RigStrip) -> None:
    strip.take_tick(tick(snapshot(3)))
    strip.take_tick(tick(snapshot(1)))
    assert list(strip.tiles) == ["GPU-0"]
    strip.set_theme(LIGHT)
    strip.grab()


def test_without_a_card_it_shows_the_machine(strip: RigStrip) -> None:
    rig = snapshot(0)
    host = dataclasses.replace(rig.host, cpu_pct=7.0, memory_used_mib=Missing.READ_FAILED)
    strip.take_tick(tick(dataclasses.replace(rig, gpus=Missing.READ_FAILED, host=host)))
    assert strip.host.isVisible()
    assert "processor 7 %" in strip.host.text()
    assert "memory read failed" in strip.host.text()
    strip.take_tick(tick(snapshot(2)))
    assert not strip.host.isVisible()
