# SPDX-License-Identifier: MIT
"""`rigpanel fans` and `rigpanel power`: their shapes, their sentences, their exit statuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rigpanel.cli import fans, main
from tests.cooling.helper_process import (
    CURVE,
    TOP,
    RunningHelper,
    let_everyone_through,
    somebody_else,
    until,
)
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


def test_what_a_card_does_beside_its_curve_is_remarked(
    here: Here, helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    status, out, err = here("fans", "set", "0", "--curve", "40:10,60:50")
    assert (status, out) == (0, "GPU 0: every fan follows 40:10,60:50.\n")
    least, ends = err.splitlines()
    assert "its fans turn at no less than 30 %; the curve asks for less" in least
    assert "from 60 °C on the fans stay at 50 %, up to the critical temperature 90 °C" in ends
    fake_nvml.card(0).temperature_c = 40
    until(lambda: helper.card(0)["fans"][0]["duty_pct"] == 30, "the fans turn at 30 %")
    assert here("fans", "set", "0", "--curve", "40:0,60:80")[2].count("\n") == 1
    _, out, err = here("fans", "set", "1", "--curve", "40:10,50:20", "--fan", "1", "--json")
    assert json.loads(out)["helper"] == "running"
    assert "from 50 °C on the fans stay at 30 %" in err.splitlines()[1]
    assert here("fans", "set", "1", "--curve", "40:30,90:60")[2] == ""


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


def test_the_way_back_without_a_helper_is_a_command_that_is_there(rigpanel: Rigpanel) -> None:
    told = in_one_line(rigpanel("fans", "auto"))
    command = told.split("`sudo ")[1].removesuffix("\n").split(" --restore-auto`")[0]
    # By its path, as sudo does not look into the environment this runs in.
    assert os.access(shutil.which(command, path=fans.SUDO_PATH) or "", os.X_OK)


def test_without_a_driver_it_says_so(rigpanel: Rigpanel, fake_nvml: FakeRig) -> None:
    fake_nvml.state.init_error = DRIVER_NOT_LOADED
    done = rigpanel("fans", "--json")
    assert (done.returncode, "not loaded" in done.stderr) == (1, True)
    told = json.loads(done.stdout)
    assert (told["gpus"], told["missing"]) == (None, {"gpus": "read_failed"})


def unasked(told: dict[str, Any], why: str) -> None:
    """Hold that what only the helper knows is null and says why, and the rest was read."""
    for card in told["gpus"]:
        assert set(card) == {"uuid", "index", "temperature_c", "fans", "failsafe", "missing"}
        assert (card["failsafe"], card["missing"]) == (None, {"failsafe": why})
        for fan in card["fans"]:
            assert set(fan) == FAN_KEYS
            assert (fan["curve"], fan["held_by"]) == (None, None)
            assert fan["missing"] == {"curve": why, "held_by": why}
            assert isinstance(fan["duty_pct"], float)


def in_one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command that failed said, which must be one line."""
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_helper_that_hangs_is_told_and_the_fans_are_read_all_the_same(
    rigpanel: Rigpanel, helper: RunningHelper
) -> None:
    helper.set_curve(0)
    os.kill(helper.child, signal.SIGSTOP)
    done = rigpanel("fans", "--json")
    os.kill(helper.child, signal.SIGCONT)
    assert "does not answer" in in_one_line(done)
    told = json.loads(done.stdout)
    assert told["helper"] == "running"
    unasked(told, "read_failed")
    assert [fan["policy"] for fan in told["gpus"][0]["fans"]] == ["manual", "manual"]


def test_a_helper_of_another_version_is_told_and_the_fans_are_read_all_the_same(
    rigpanel: Rigpanel, tmp_path: Path
) -> None:
    refusal = b'{"v":2,"id":null,"ok":false,"error":"speaks version 2"}'
    with somebody_else(tmp_path / "fand.sock", refusal):
        done = rigpanel("fans", "--json")
    assert "Install the one that belongs to this rigpanel" in in_one_line(done)
    told = json.loads(done.stdout)
    assert told["helper"] == "running"
    unasked(told, "read_failed")
    (tmp_path / "fand.sock").unlink()
    with somebody_else(tmp_path / "fand.sock", refusal):
        assert "rigpanel-fand --restore-auto` hands" in in_one_line(rigpanel("fans", "auto"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_helper_this_user_may_not_reach_is_said_to_be_there(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.socket.chmod(0o600)
    fake_nvml.path.chmod(0o666)
    let_everyone_through(fake_nvml.path.parent)
    script = (
        "import ctypes, os, sys\n"
        "from rigpanel.cli import fans, main\n"
        "from rigpanel.rig import nvml_vitals\n"
        "ctypes.CDLL('libnvidia-ml.so.1')\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(main(['fans', '--json', '--socket', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(helper.socket)],
        cwd=TOP,
        env=fake_nvml.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    told = shown(done)
    assert told["helper"] == "no_permission"
    unasked(told, "no_permission")


def test_a_lost_card_keeps_its_place_with_the_helper_and_without(
    here: Here, rigpanel: Rigpanel, helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.set_curve(1)
    fake_nvml.lose(1)
    until(lambda: helper.card(1)["failsafe"], "the loss is told")
    status, out, err = here("fans", "--json")
    assert (status, err) == (0, "")
    card = json.loads(out)["gpus"][1]
    assert "gpu lost" in card.pop("failsafe")
    assert card == {
        "uuid": fake_nvml.uuid(1),
        "index": 1,
        "temperature_c": None,
        "fans": None,
        "missing": {"temperature_c": "gpu_lost", "fans": "gpu_lost"},
    }
    table = here("fans")[1]
    assert "GPU 1: its fans cannot be read (gpu lost)" in table
    helper.end()
    fresh = shown(rigpanel("fans", "--json"))
    assert fresh["helper"] == "not_running"
    assert fresh["gpus"][1] == {
        "uuid": None,
        "index": 1,
        "temperature_c": None,
        "fans": None,
        "failsafe": None,
        "missing": {"uuid": "gpu_lost", "temperature_c": "gpu_lost", "fans": "gpu_lost"},
    }


def test_a_fan_that_another_program_has_is_said_to_be_its(
    here: Here, helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.set_curve(0)
    for card, number in ((0, 1), (1, 0)):  # one from its curve, one that had none
        fan = fake_nvml.card(card).fans[number]
        fan.manual, fan.duty_pct, fan.target_pct = 1, 64, 64
    until(lambda: helper.card(0)["failsafe"], "it is told")
    status, out, err = here("fans", "--json")
    assert (status, err) == (0, "")
    cards = json.loads(out)["gpus"]
    held = [[(fan["held_by"], fan["policy"]) for fan in card["fans"]] for card in cards]
    assert held == [
        [("curve", "manual"), ("other", "manual")],
        [("other", "manual"), ("auto", "auto")],
    ]
    assert "another program set the fan to 64 %" in cards[0]["failsafe"]
    assert cards[0]["fans"][1]["curve"] == [list(point) for point in CURVE["points"]]
    assert cards[1]["failsafe"] is None


def test_the_simulated_rig_says_that_it_is(rigpanel: Rigpanel) -> None:
    told = shown(rigpanel("fans", "--demo", "--json"))
    assert (told["simulated"], len(told["gpus"])) == (True, 2)
    assert rigpanel("fans", "--demo").stdout.startswith("Simulated rig")
