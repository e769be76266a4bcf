# SPDX-License-Identifier: MIT
"""Presets of one's own, also from a file that is broken or has changed meanwhile."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from rigpanel.cooling.presets import BALANCED, COOL, PRESETS, for_bottom_card
from rigpanel.cooling.saved_curves import export_curve
from rigpanel.ui.panes.fans.curve_files import BOTTOM, CurveFiles

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Heard:
    """What a `CurveFiles` told."""

    def __init__(self, qtbot: QtBot, own: Path) -> None:
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.files = CurveFiles(own, self.window)
        self.curves: list[object] = []
        self.said: list[str] = []
        self.wrong: list[str] = []
        self.files.curve_read.connect(lambda curve, _: self.curves.append(curve))
        self.files.saved.connect(self.said.append)
        self.files.failed.connect(self.wrong.append)


@pytest.fixture
def heard(qtbot: QtBot, tmp_path: Path) -> Heard:
    return Heard(qtbot, tmp_path / "own.json")


def test_presets_are_saved_and_come_back(heard: Heard) -> None:
    heard.files.save(" Attic ", COOL)
    assert heard.said == ["Saved as Attic; it is in the list of presets."]
    assert heard.files.names() == [*PRESETS, "Attic", BOTTOM]
    heard.files.read_preset("Attic", BALANCED)
    heard.files.read_preset(BOTTOM, BALANCED)
    assert heard.curves == [COOL, for_bottom_card(BALANCED)]
    assert heard.wrong == []


def test_a_broken_file_leaves_what_came_with_rigpanel(heard: Heard, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("{")
    assert heard.files.names() == [*PRESETS, BOTTOM]
    heard.files.read_preset("Attic", BALANCED)
    heard.files.save("Attic", COOL)
    assert len(heard.wrong) == 3
    assert all("own.json is no JSON" in sentence for sentence in heard.wrong)
    assert (tmp_path / "own.json").read_text() == "{"
    assert heard.curves == heard.said == []


def test_a_preset_that_went_meanwhile_is_told(heard: Heard) -> None:
    heard.files.read_preset("Attic", BALANCED)
    assert heard.wrong == ["Attic is no longer among the saved presets."]


def test_a_curve_in_a_file_is_brought_in_and_a_bad_one_told(heard: Heard, tmp_path: Path) -> None:
    export_curve(tmp_path / "good.json", COOL)
    (tmp_path / "bad.json").write_text('{"kind": "rigpanel fan curve", "points": [[60, 90]]}')
    for name in ("bad.json", "good.json"):
        heard.files.choose_import()
        dialog = heard.window.findChildren(QFileDialog)[-1]
        dialog.fileSelected.emit(str(tmp_path / name))
        dialog.close()
    assert heard.curves == [COOL]
    assert len(heard.wrong) == 1
    assert "bad.json: A curve needs 2 to 16 points" in heard.wrong[0]


def test_a_file_that_cannot_be_written_is_told(heard: Heard, tmp_path: Path) -> None:
    heard.files.choose_export(COOL)
    dialog = heard.window.findChildren(QFileDialog)[-1]
    (tmp_path / "file").touch()
    dialog.fileSelected.emit(str(tmp_path / "file" / "curve.json"))
    dialog.close()
    assert heard.said == []
    assert "curve.json cannot be written" in heard.wrong[0]
