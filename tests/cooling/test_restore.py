# SPDX-License-Identifier: MIT
"""`rigpanel-fand --restore-auto`, which needs nothing else to work."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rigpanel.cooling import restore
from tests.cooling.helper_process import TOP, RunningHelper, let_everyone_through, restore_auto
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import NOT_SUPPORTED, UNKNOWN


@pytest.fixture
def stuck(fake_nvml: FakeRig) -> FakeRig:
    """A rig whose every fan somebody left in manual."""
    for card in (0, 1):
        for fan in fake_nvml.card(card).fans[:2]:
            fan.manual, fan.duty_pct, fan.target_pct = 1, 35, 35
    return fake_nvml


def test_every_fan_is_handed_back_by_the_file_alone(stuck: FakeRig, tmp_path: Path) -> None:
    alone = tmp_path / "restore-fans.py"
    alone.write_text(Path(restore.__file__).read_text())
    done = subprocess.run(
        [sys.executable, "-IS", str(alone)], env=stuck.env(), capture_output=True, check=False
    )
    assert (done.returncode, stuck.manual_fans) == (0, []), done.stderr


def test_a_lost_card_stops_no_other(stuck: FakeRig) -> None:
    stuck.lose(0)
    done = restore_auto(stuck)
    assert (done.returncode, stuck.manual_fans) == (1, [(0, 0), (0, 1)])
    assert "GPU 0 does not answer" in done.stderr


def test_a_fan_that_fails_stops_no_other_and_blows_at_full(stuck: FakeRig) -> None:
    for function in ("nvmlDeviceSetDefaultFanSpeed_v2", "nvmlDeviceSetFanControlPolicy"):
        stuck.fail(function, UNKNOWN, card=0)
    done = restore_auto(stuck)
    assert (done.returncode, stuck.manual_fans) == (1, [(0, 0), (0, 1)])
    assert [fan.duty_pct for fan in stuck.card(0).fans[:2]] == [100, 100]
    assert "fan 1 of GPU 0 could not be handed back" in done.stderr


def test_the_policy_call_stands_in_for_the_usual_one(stuck: FakeRig) -> None:
    stuck.fail("nvmlDeviceSetDefaultFanSpeed_v2", UNKNOWN)
    assert restore_auto(stuck).returncode == 0
    assert stuck.manual_fans == []


def test_a_fan_that_shows_late_that_it_was_handed_back_is_waited_for(stuck: FakeRig) -> None:
    for fan in stuck.card(1).fans[:2]:
        fan.late_ms = 50
    done = restore_auto(stuck)
    assert (done.returncode, done.stderr, stuck.manual_fans) == (0, "", [])


def test_a_card_whose_fans_nobody_can_set_is_no_failure(fake_nvml: FakeRig) -> None:
    for function in (
        "nvmlDeviceSetDefaultFanSpeed_v2",
        "nvmlDeviceSetFanControlPolicy",
        "nvmlDeviceSetFanSpeed_v2",
        "nvmlDeviceGetFanControlPolicy_v2",
    ):
        fake_nvml.fail(function, NOT_SUPPORTED, card=0)
    done = restore_auto(fake_nvml)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root is told that before")
def test_a_library_that_cannot_be_used_is_told_from_no_driver(tmp_path: Path) -> None:
    (tmp_path / restore.LIBRARY).write_text("no library")
    module = tmp_path / "module"
    script = (
        "import sys; from pathlib import Path; from rigpanel.cooling import restore\n"
        "restore.KERNEL_MODULE = sys.argv[1]\n"
        "sys.exit(restore.main())"
    )
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script, str(module)],
            cwd=TOP,
            env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        said.append((done.returncode, "no fan to hand back" in done.stderr))
        module.mkdir(exist_ok=True)
    assert said == [(0, True), (1, False)]


def test_an_old_library_has_its_fans_handed_back_too(tmp_path: Path) -> None:
    rig = FakeRig.two_3090s(
        tmp_path / "old", lacks=("nvmlInit_v2", "nvmlDeviceGetFanControlPolicy_v2")
    )
    fan = rig.card(1).fans[0]
    fan.manual, fan.duty_pct, fan.target_pct = 1, 35, 35
    assert (restore_auto(rig).returncode, rig.manual_fans) == (0, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_is_not_root_is_told_to_be(stuck: FakeRig) -> None:
    stuck.path.chmod(0o666)
    stuck.state.root_only = 1
    let_everyone_through(stuck.path.parent)
    script = (
        "import ctypes, os; from rigpanel.cooling import restore\n"
        "ctypes.CDLL(restore.LIBRARY)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "exit(restore.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=TOP,
        env=stuck.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(stuck.manual_fans)) == (1, 4)
    assert "run this as root" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_driver_it_says_so(fake_nvml: FakeRig) -> None:
    fake_nvml.state.init_error = 9
    done = restore_auto(fake_nvml)
    assert (done.returncode, "does not start" in done.stderr) == (1, True)


def test_a_helper_that_runs_lets_go_too(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    helper.set_curve(0)
    done = restore_auto(fake_nvml, socket=helper.socket)
    assert (done.returncode, fake_nvml.manual_fans) == (0, [])
    assert helper.card(0)["curves"] == {}


def test_a_helper_that_hangs_is_not_waited_for_long(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.set_curve(0)
    os.kill(helper.child, signal.SIGSTOP)
    done = restore_auto(fake_nvml, socket=helper.socket)
    assert (done.returncode, fake_nvml.manual_fans) == (0, [])
    assert "may take the fans again" in done.stderr
