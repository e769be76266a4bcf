# SPDX-License-Identifier: MIT
"""The launcher and what software centres read."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

TOP = Path(__file__).parents[2]
ENTRY = TOP / "packaging/rigpanel.desktop"


def validate(entry: Path) -> None:
    if shutil.which("desktop-file-validate") is None:
        pytest.skip("desktop-file-validate is not installed")
    done = subprocess.run(
        ["desktop-file-validate", str(entry)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_entry_is_valid() -> None:
    validate(ENTRY)


def test_the_metainfo_names_the_entry_and_the_command() -> None:
    (file,) = (TOP / "packaging").glob("*.metainfo.xml")
    root = ET.parse(file).getroot()  # noqa: S314  # our own file
    assert root.findtext("launchable") == ENTRY.name
    assert root.findtext("provides/binary") == "rigpanel"
    assert f"{root.findtext('id')}.metainfo.xml" == file.name


@pytest.mark.parametrize("folder", ["plain", "with space & $HOME 100%", "back\\slash"])
def test_the_launcher_starts_this_checkout(tmp_path: Path, folder: str) -> None:
    top = tmp_path / folder
    (top / "packaging").mkdir(parents=True)
    (top / "resources").symlink_to(TOP / "resources")
    (top / "packaging/rigpanel.desktop").symlink_to(ENTRY)
    (top / "packaging/lib").symlink_to(TOP / "packaging/lib")
    data = tmp_path / "data"
    script = (
        'set -euo pipefail; top=$1; source "$top/packaging/lib/setup.sh"; '
        'source "$lib/desktop.sh"; install_desktop'
    )
    subprocess.run(
        ["bash", "-c", script, "run", str(top)],
        env=os.environ | {"XDG_DATA_HOME": str(data), "HOME": str(tmp_path)},
        check=True,
        timeout=30,
    )
    entry = data / "applications/rigpanel.desktop"
    validate(entry)
    assert os.access(entry, os.X_OK)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(entry, encoding="utf-8")
    command = parser["Desktop Entry"]["Exec"]
    # As a desktop reads it: the string's own escapes, then the quotes', then the percent signs'.
    unquoted = command.replace("\\\\", "\\")[1:-1].replace("\\$", "$").replace("%%", "%")
    unquoted = unquoted.replace("\\\\", "\\")
    assert unquoted == f"{top}/packaging/run"
    assert parser["Desktop Action demo"]["Exec"].endswith('/packaging/run" --demo')
    assert (data / "icons/hicolor/scalable/apps/rigpanel.svg").is_file()
