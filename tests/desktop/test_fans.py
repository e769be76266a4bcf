# SPDX-License-Identifier: MIT
"""Curves in files, as a person brings them in and passes them on: by the real file dialogs."""

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.saved_curves import export_curve, import_curve
from tests.desktop.driving import start
from tests.desktop.session import DesktopSession, wait_for

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(180)]

OWN = FanCurve(((42, 31), (58, 52), (71, 77), (83, 100)), hysteresis_c=4.0, critical_c=88.0)
IMPORT, EXPORT = "Import a curve", "Export the curve"


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[DesktopSession]:
    with DesktopSession(tmp_path / "desktop") as session:
        yield session


def dialog(desktop: DesktopSession, title: str) -> str:
    return desktop.run("xdotool", "search", "--onlyvisible", "--name", f"^{title}$").strip()


def answer(desktop: DesktopSession, keys: str, title: str, path: Path | None) -> None:
    """Call a dialog, type a file's path into it, or leave it without."""

    def opened() -> str:
        if not dialog(desktop, title):
            desktop.activate()
            desktop.key(keys)
        return dialog(desktop, title)

    window = wait_for(f"the dialog {title}", opened)

    def has_keyboard() -> bool:
        desktop.run("xdotool", "windowactivate", window)
        return desktop.run("xdotool", "getwindowfocus").strip() == window

    wait_for("the keyboard to be the dialog's", has_keyboard)
    if path is None:
        desktop.key("Escape")
    else:
        desktop.key("ctrl+a")
        desktop.type(str(path))
        desktop.key("Return")
    wait_for("the dialog to go", lambda: not dialog(desktop, title))
    desktop.activate()


def drawn(desktop: DesktopSession, folder: Path) -> FanCurve:
    """Return what is drawn, by exporting it."""
    file = folder / "drawn"
    written = folder / "drawn.json"
    written.unlink(missing_ok=True)
    answer(desktop, "alt+e", EXPORT, file)
    wait_for("the file", written.exists)
    return import_curve(written)


def said(desktop: DesktopSession, word: str) -> str:
    """Return the sentence below the curve that has a word, by selecting and copying it."""
    geometry = desktop.run("xdotool", "getactivewindow", "getwindowgeometry", "--shell")
    place = dict(line.split("=") for line in geometry.split())
    left, bottom = int(place["X"]), int(place["Y"]) + int(place["HEIGHT"])
    heights = itertools.cycle(range(bottom - 50, bottom - 80, -6))

    def found() -> str:
        desktop.run("xdotool", "mousemove", str(left + 130), str(next(heights)))
        desktop.run("xdotool", "click", "--repeat", "3", "--delay", "40", "1")
        desktop.key("ctrl+c")
        text = desktop.clipboard()
        return text if word in text else ""

    return wait_for(f"a sentence with {word!r}", found, 30)


def test_a_curve_comes_from_a_file_and_goes_into_one(
    desktop: DesktopSession, tmp_path: Path
) -> None:
    export_curve(tmp_path / "own.json", OWN)
    (tmp_path / "bad.json").write_text(
        '{"kind": "rigpanel fan curve", "points": [[60, 90], [70, 40]]}'
    )
    panel = start(desktop, "--demo", "--pane", "fans")

    answer(desktop, "alt+i", IMPORT, tmp_path / "own.json")
    assert drawn(desktop, tmp_path) == OWN

    answer(desktop, "alt+i", IMPORT, tmp_path / "bad.json")
    assert "less air" in said(desktop, "bad.json")
    answer(desktop, "alt+i", IMPORT, None)
    assert drawn(desktop, tmp_path) == OWN

    desktop.key("ctrl+z")
    assert drawn(desktop, tmp_path) != OWN
    panel.send_signal(signal.SIGTERM)
    assert panel.wait(15) == 0
