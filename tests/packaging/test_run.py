# SPDX-License-Identifier: MIT
"""The one command, as someone without a display starts it."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
RUN = TOP / "packaging/run"


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [RUN, *arguments],
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(autouse=True)
def set_up() -> None:
    script = f"top={TOP}; source $top/packaging/lib/setup.sh; choose_build; ready .venv panel,demo"
    if subprocess.run(["bash", "-c", script], check=False).returncode:
        pytest.skip("this checkout is not set up (packaging/run does)")


def test_a_set_up_checkout_starts_at_once_from_anywhere(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = start("--version", cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"rigpanel \d+\.\d+\.\d+\n", done.stdout)
    assert done.stderr == ""
    assert time.monotonic() - begun < 5  # a set-up takes longer even with everything at hand


def test_subcommands_pass_through(tmp_path: Path) -> None:
    done = start("gpus", "--demo", "--json", cwd=tmp_path, RIGPANEL_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert '"simulated": true' in done.stdout


@pytest.mark.parametrize("display", [{}, {"DISPLAY": ":31999"}])
def test_without_a_display_it_chats_and_draws(tmp_path: Path, display: dict[str, str]) -> None:
    done = start("--demo", cwd=tmp_path, RIGPANEL_HOME=str(tmp_path / "home"), **display)
    assert done.returncode == 0, done.stderr
    assert "No display" in done.stderr
    assert "random weights" in done.stderr
    *reply, picture = done.stdout.strip().splitlines()
    assert len(" ".join(reply).split()) > 5
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_without_a_display_a_wrong_pane_is_a_failure(tmp_path: Path) -> None:
    done = start("--pane", "nowhere", cwd=tmp_path, RIGPANEL_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert "nowhere" in done.stderr
