# SPDX-License-Identifier: MIT
"""The panel's line to the real helper: found, asked, lost and found again."""

import dataclasses
import os
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from rigpanel.settings import SettingsStore
from rigpanel.ui.bridges import WatchBridge
from rigpanel.ui.panes.fans.fans_pane import FansPane
from rigpanel.ui.panes.fans.helper_link import HelperState, SocketLink
from rigpanel.ui.theme import DARK
from rigpanel.watch.history import RigHistory
from tests.cooling.helper_process import CURVE, RunningHelper
from tests.fakes.nvml import FakeRig
from tests.ui.window_fixtures import snapshot, tick

PATIENCE_MS = 20_000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the helper runs as root only")


def test_it_is_found_asked_and_its_end_noticed(
    qtbot: QtBot, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    link = SocketLink(str(tmp_path / "fand.sock"))
    told: list[dict[str, object]] = []
    answers: list[tuple[str, str]] = []
    link.status_ready.connect(told.append)
    link.answered.connect(lambda verb, problem: answers.append((verb, problem)))
    link.start()
    states = [link.state]
    link.state_changed.connect(states.append)
    helper = RunningHelper(fake_nvml, tmp_path).ready()
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE_MS)
    link.ask("set_curve", gpu=fake_nvml.uuid(0), curve=CURVE)
    link.ask("set_curve", gpu="GPU-none", curve=CURVE)
    qtbot.waitUntil(lambda: len(answers) == 2, timeout=PATIENCE_MS)
    assert answers[0] == ("set_curve", "")
    assert "There is no card GPU-none" in answers[1][1]
    assert fake_nvml.manual_fans == [(0, 0), (0, 1)]
    helper.end()
    qtbot.waitUntil(lambda: len(states) == 3, timeout=PATIENCE_MS)
    assert states == [HelperState.NOT_RUNNING, HelperState.RUNNING, HelperState.NOT_RUNNING]
    link.ask("auto")
    assert answers[-1] == ("auto", "The fan helper does not run.")
    link.stop()


@pytest.mark.qt_log_ignore("propagateSizeHints")
def test_a_power_limit_is_set_tried_and_undone(
    qtbot: QtBot, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    helper = RunningHelper(fake_nvml, tmp_path).ready()
    link, watch = SocketLink(str(helper.socket)), WatchBridge()
    settings = SettingsStore(tmp_path / "settings.toml")
    pane = FansPane(watch, settings, RigHistory(), link, DARK)
    pane.build_now()
    qtbot.addWidget(pane)
    pane.show()
    cards = [
        dataclasses.replace(card, uuid=fake_nvml.uuid(place))
        for place, card in enumerate(snapshot(2).cards)
    ]
    watch.on_tick(tick(dataclasses.replace(snapshot(2), gpus=tuple(cards))))
    link.start()
    power = pane.parts.side.power
    qtbot.waitUntil(power.isEnabled, timeout=PATIENCE_MS)
    assert (power.watts.value(), power.watts.minimum(), power.watts.maximum()) == (350, 100, 400)
    assert not power.back.isEnabled()
    power.watts.setValue(280)
    power.set.click()
    qtbot.waitUntil(lambda: not pane.parts.trial.isHidden(), timeout=PATIENCE_MS)
    assert fake_nvml.card(0).limit_mw == 280_000
    pane.parts.trial.keep.click()
    qtbot.waitUntil(pane.parts.trial.isHidden, timeout=PATIENCE_MS)
    assert fake_nvml.card(0).limit_mw == 280_000
    power.back.click()
    qtbot.waitUntil(lambda: power.watts.value() == 350, timeout=PATIENCE_MS)
    assert fake_nvml.card(0).limit_mw == 350_000
    link.stop()
    helper.end()
