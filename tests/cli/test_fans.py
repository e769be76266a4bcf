# SPDX-License-Identifier: MIT
"""`rigpanel fans` and `rigpanel power`: their shapes, their sentences, their exit statuses."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rigpanel.cli import main
from tests.cooling.helper_process import TOP, RunningHelper
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import DRIVER_NOT_LOADED, NOT_SUPPORTED

Rigpanel = Callable[..., subprocess.CompletedProcess[str]]
Here = Callable[..., tuple[int, str, str]]
Capture = pytest.CaptureFixture[str]
FAN_KEYS = {
    *("fan", "duty_pct", "target_pct", "rpm", "policy", "min_duty_pct", "max_duty_pct"),
    *("curve", "held_by", "missing"),
}


@pytest.fixture
def rigpanel(fake_nvml: FakeRig, tmp_path: Path) -> Rigpanel:
    """Runs the command line over the fake driver, with this test's helper if there is one."""
    env = fake_nvml.env() | {"RIGPANEL_FAND_SOCKET": str(tmp_path / "fand.sock")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rigpanel", *arguments],
            cwd=TOP,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def here(helper: RunningHelper, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Here:
    """Runs the command line in this process, where it only talks to the helper."""
    monkeypatch.setenv("RIGPANEL_FAND_SOCKET", str(helper.socket))

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as end:  # argparse's own
            status = int(end.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def helper(fake_nvml: FakeRig, tmp_path: Path) -> Iterator[RunningHelper]:
    if os.geteuid() != 0:
        pytest.skip("the helper runs as root only")
    helper = RunningHelper(fake_nvml, tmp_path).ready()
    yield helper
    helper.end()


def shown(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_without_a_helper_fans_are_read_all_the_same(
    rigpanel: Rigpanel, fake_nvml: FakeRig
) -> None:
    fan = fake_nvml.card(0).fans[1]
    fan.manual, fan.duty_pct, fan.target_pct = 1, 64, 64
    fake_nvml.fail("nvmlDeviceGetFanSpeedRPM", NOT_SUPPORTED, card=1)
    told = shown(rigpanel("fans", "--json"))
    assert set(told) == {"helper", "gpus"}
    assert told["helper"] == "not_running"
    assert [set(gpu) for gpu in told["gpus"]] == [
        {"uuid", "index", "temperature_c", "fans", "failsafe"} for _ in range(2)
    ]
    first, second = told["gpus"]
    assert {key for fan in first["fans"] for key in fan} == FAN_KEYS
    assert [fan["held_by"] for fan in first["fans"]] == ["auto", "other"]
    assert (first["fans"][1]["duty_pct"], first["fans"][1]["curve"]) == (64, None)
    assert second["fans"][0]["rpm"] is None
    assert second["fans"][0]["missing"] == {"rpm": "not_supported"}
    assert fake_nvml.orders == []
    table = rigpanel("fans").stdout
    assert ("Held by" in table, "not supported" in table, "not running" in table) == (True,) * 3


def test_a_curve_is_set_shown_and_handed_back(
    here: Here, helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    fake_nvml.card(1).temperature_c = 75
    points = "40:30,60:50,75:80,84:100"
    done = here("fans", "set", "1", "--curve", points, "--hysteresis", "4")
    assert done == (0, f"GPU 1: every fan follows {points}.\n", "")
    status, out, _ = here("fans", "--json")
    told = json.loads(out)
    assert (status, told["helper"]) == (0, "running")
    fan = told["gpus"][1]["fans"][0]
    assert set(fan) == FAN_KEYS
    assert fan["curve"] == [[40, 30], [60, 50], [75, 80], [84, 100]]
    assert [fan[key] for key in ("duty_pct", "target_pct", "policy", "held_by")] == [
        *(80, 80, "manual", "curve")
    ]
    assert told["gpus"][0]["fans"][0]["held_by"] == "auto"
    assert helper.card(1)["curves"]["all"]["hysteresis_c"] == 4
    assert here("fans", "auto", fake_nvml.uuid(1)[:9])[0] == 0
    assert fake_nvml.manual_fans == []


def test_one_fan_is_set_by_bus_id(here: Here, helper: RunningHelper, fake_nvml: FakeRig) -> None:
    curve = ("--curve", "40:70,60:90", "--persist")
    assert here("fans", "set", "21:00.0", "--fan", "1", *curve)[::2] == (0, "")
    assert fake_nvml.manual_fans == [(1, 1)]
    assert (helper.state_dir / "cooling.json").exists()


REFUSED = [
    (("fans", "set", "0"), 2, "--curve"),
    (("fans", "set", "0", "--curve", "60:50,40:30"), 2, "order of temperature"),
    (("fans", "set", "0", "--curve", "warm"), 2, "40:30,60:50"),
    (("fans", "set", "0", "--curve", "40:30,60:50", "--hysteresis", "nan"), 2, "degrees"),
    (("fans", "set", "7", "--curve", "40:30,60:50"), 1, "'7' names no card"),
    (("fans", "set", "0", "--curve", "40:30,60:50", "--fan", "5"), 1, "has no fan 5"),
    (("fans", "auto", "GPU"), 1, "names more than one card"),
    (("power", "0"), 2, "--limit"),
    (("power", "0", "--limit", "lots"), 2, "number of watts"),
    (("power", "0", "--limit", "900"), 1, "from 100 to 400 W"),
    (("power", "9", "--limit", "300"), 1, "names no card"),
    (("fans", "auto", "--demo"), 1, "simulated rig"),
]


def test_what_cannot_be_is_said_in_a_line(here: Here, fake_nvml: FakeRig) -> None:
    for arguments, expected, said in REFUSED:
        status, _, told = here(*arguments)
        assert (status, said in told) == (expected, True), (arguments, told)
        assert "Traceback" not in told
    assert fake_nvml.manual_fans == []


def test_a_limit_is_set_and_taken_back(
    here: Here, helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    done = here("power", "0", "--limit", "280", "--socket", str(helper.socket))
    assert done == (0, "GPU 0: the power limit is 280 W.\n", "")
    assert fake_nvml.card(0).limit_mw == 280_000
    assert here("power", "0", "--reset")[0] == 0
    assert fake_nvml.card(0).limit_mw == 350_000


def test_setting_without_a_helper_says_how_to_get_one(rigpanel: Rigpanel) -> None:
    for arguments in (
        ("fans", "set", "0", "--curve", "40:30,60:50"),
        ("power", "0", "--limit", "9"),
    ):
        done = rigpanel(*arguments)
        assert (done.returncode, "rigpanel setup-helper" in done.stderr) == (1, True)
    assert "--restore-auto" in rigpanel("fans", "auto").stderr


def test_without_a_driver_it_says_so(rigpanel: Rigpanel, fake_nvml: FakeRig) -> None:
    fake_nvml.state.init_error = DRIVER_NOT_LOADED
    done = rigpanel("fans", "--json")
    assert (done.returncode, "not loaded" in done.stderr) == (1, True)
    told = json.loads(done.stdout)
    assert (told["gpus"], told["missing"]) == (None, {"gpus": "read_failed"})


def test_the_simulated_rig_says_that_it_is(rigpanel: Rigpanel) -> None:
    told = shown(rigpanel("fans", "--demo", "--json"))
    assert (told["simulated"], len(told["gpus"])) == (True, 2)
    assert rigpanel("fans", "--demo").stdout.startswith("Simulated rig")
