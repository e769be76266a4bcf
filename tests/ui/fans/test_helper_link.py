# SPDX-License-Identifier: MIT
"""The panel's line to the real helper: found, asked, lost and found again."""

import os
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from rigpanel.ui.panes.fans.helper_link import HelperState, SocketLink
from tests.cooling.helper_process import CURVE, RunningHelper
from tests.fakes.nvml import FakeRig

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
