# SPDX-License-Identifier: MIT
"""One click starts the helper, for real; and what stands there when it cannot be started."""

import os
import signal
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from rigpanel.cooling.client import HelperClient
from rigpanel.ui.panes.fans.helper_bar import HelperBar
from rigpanel.ui.panes.fans.helper_link import HelperLink, HelperState, SocketLink
from tests.cooling.helper_process import until
from tests.fakes.nvml import FakeRig

PATIENCE_MS = 60_000

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root would be asked for a password")
def test_one_click_runs_the_helper_for_this_session(
    qtbot: QtBot, fake_nvml: FakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fand.sock"
    for name, value in fake_nvml.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RIGPANEL_FAND_SOCKET", str(path))
    link = SocketLink()
    bar = HelperBar(link)
    qtbot.addWidget(bar)
    link.start()
    assert "does not run" in bar.sentence.text()
    bar.session.click()
    assert not bar.session.isEnabled()
    qtbot.waitUntil(lambda: link.state is HelperState.RUNNING, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: "The fan helper runs" in bar.sentence.text(), timeout=PATIENCE_MS)
    assert bar.session.isHidden()
    assert bar.install.isHidden()
    link.stop()
    with HelperClient(str(path)) as client:
        os.kill(client.ask("ping")["pid"], signal.SIGTERM)
    until(lambda: not path.exists(), "it has ended")


def test_what_went_wrong_stands_there_and_can_be_tried_again(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    bar = HelperBar(HelperLink())
    qtbot.addWidget(bar)
    bar.install.click()
    qtbot.waitUntil(bar.install.isEnabled, timeout=PATIENCE_MS)
    assert "could not be started" in bar.sentence.text()
