# SPDX-License-Identifier: MIT
"""The helper under a real systemd and a real polkitd, in a container that is thrown away.

Needs root and, on Debian, the packages systemd-container, polkitd and pkexec: run it with `--soak`.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cooling.booted import UNIT, Booted, CannotBootError, booted
from tests.cooling.helper_process import PATIENCE_S, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

HANDED_BACK_S = 3.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    try:
        with booted(tmp_path_factory.mktemp("booted")) as system:
            system.rigpanel("setup-helper")
            yield system
    except CannotBootError as error:
        pytest.skip(str(error))


@pytest.fixture
def installed(system: Booted) -> Booted:
    """The system with the helper installed, running, and holding nothing."""
    system.run("systemctl", "reset-failed", UNIT, check=False)
    if not system.answers():
        system.rigpanel("setup-helper")
    system.ask("auto")
    system.rig.card(0).temperature_c = 60
    return system


def automatic(system: Booted) -> None:
    """Every fan is the cards' own within three seconds."""
    took_s = until(lambda: system.rig.manual_fans == [], "fans handed back")
    assert took_s < HANDED_BACK_S


def gone(system: Booted, pid: int) -> None:
    until(lambda: not Path(f"/proc/{pid}").exists(), "systemd ends it", 60.0)


def test_it_is_installed_starts_and_follows_a_curve(installed: Booted) -> None:
    assert installed.shows("ActiveState") == "active"
    assert installed.shows("Type") == "notify"
    assert installed.shows("SubState") == "running"
    assert "running" in installed.rigpanel("fans").stdout
    installed.set_curve()
    installed.rig.card(0).temperature_c = 75
    until(lambda: installed.rig.card(0).fans[1].duty_pct == 80, "the curve is followed")
    figure = installed.run("systemd-analyze", "security", "--no-pager", UNIT).stdout.splitlines()
    print(figure[-1].strip())
    level = re.search(r"([0-9.]+) [A-Z]+", figure[-1])
    assert level is not None
    assert float(level[1]) < 4


def test_it_takes_little(installed: Booted) -> None:
    installed.set_curve()
    before_ns, begun = int(installed.shows("CPUUsageNSec")), time.monotonic()
    until(lambda: time.monotonic() - begun > 10, "ten ticks")
    used = (int(installed.shows("CPUUsageNSec")) - before_ns) / 1e9
    memory_mib = int(installed.shows("MemoryCurrent")) / 2**20
    print(f"{used / (time.monotonic() - begun):.2%} of a core, {memory_mib:.1f} MiB")
    assert memory_mib < 40


def test_killed(installed: Booted) -> None:
    installed.set_curve()
    os.kill(installed.pid, signal.SIGKILL)
    automatic(installed)
    installed.wait_held()
    assert installed.shows("NRestarts") != "0"
