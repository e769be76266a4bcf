# SPDX-License-Identifier: MIT
"""Power limits: no way of dying loses the way back, and no other program's limit is fought."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rigpanel.cooling.client import HelperError
from rigpanel.cooling.service import CoolingService
from rigpanel.cooling.state import FILE
from tests.cooling.conftest import Start
from tests.cooling.helper_process import (
    PATIENCE_S,
    TOP,
    RunningHelper,
    run_backwards,
    somebody_else,
    until,
)
from tests.cooling.watched import Watched
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import UNKNOWN

SET = "nvmlDeviceSetPowerManagementLimit"


def set_limit(helper: RunningHelper, card: int, watts: float, **fields: float) -> None:
    helper.ask("set_power_limit", gpu=helper.rig.uuid(card), limit_w=watts, **fields)


def die(helper: RunningHelper) -> None:
    helper.kill()
    helper.process.wait(PATIENCE_S)


def restore_limits(
    rig: FakeRig, state_dir: Path, beside: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return run_backwards(rig, "--restore-limits", "--state-dir", str(state_dir), socket=beside)


@pytest.fixture
def left(helper: RunningHelper) -> RunningHelper:
    """A helper that is dead, and has left both cards at other limits than it found."""
    helper.rig.card(1).limit_mw = 330_000
    for watts in (300, 280):
        set_limit(helper, 0, watts)
    set_limit(helper, 1, 250)
    die(helper)
    return helper


def limits_w(rig: FakeRig) -> list[float]:
    return [rig.card(card).limit_mw / 1000 for card in (0, 1)]


def test_they_go_back_though_no_helper_runs(left: RunningHelper) -> None:
    assert limits_w(left.rig) == [280, 250]
    done = restore_limits(left.rig, left.state_dir)
    assert (done.returncode, done.stderr, limits_w(left.rig)) == (0, "", [350, 330])
    assert "GPU 1: its power limit is 330 W as before." in done.stdout
    orders = len(left.rig.orders)
    again = restore_limits(left.rig, left.state_dir)
    assert (again.returncode, again.stdout) == (0, "No power limit was changed.\n")
    assert len(left.rig.orders) == orders


def test_no_fan_is_touched_by_it(left: RunningHelper) -> None:
    fan = left.rig.card(0).fans[0]
    fan.manual, fan.duty_pct, fan.target_pct = 1, 70, 70  # another program's
    restore_limits(left.rig, left.state_dir)
    assert left.rig.manual_fans == [(0, 0)]


def test_a_limit_that_another_program_set_since_is_left_and_told(left: RunningHelper) -> None:
    left.rig.card(0).limit_mw = 320_000
    orders = len(left.rig.orders)
    done = restore_limits(left.rig, left.state_dir)
    assert (done.returncode, limits_w(left.rig)) == (0, [320, 330])
    assert [order.card for order in left.rig.orders[orders:]] == [1]
    assert "GPU 0 is at 320 W, not at the 280 W set here" in done.stderr
    assert "sudo nvidia-smi -i 0 -pl 350" in done.stderr


def test_a_lost_card_stops_no_other_and_is_put_back_once_it_is_there(left: RunningHelper) -> None:
    left.rig.lose(0)
    done = restore_limits(left.rig, left.state_dir)
    assert (done.returncode, limits_w(left.rig)) == (1, [280, 330])
    assert f"Card {left.rig.uuid(0)} is not there" in done.stderr
    left.rig.bring_back(0)
    assert restore_limits(left.rig, left.state_dir).returncode == 0
    assert limits_w(left.rig) == [350, 330]


def test_a_card_that_does_not_take_its_old_limit_stops_no_other(left: RunningHelper) -> None:
    left.rig.fail(SET, UNKNOWN, card=0)
    done = restore_limits(left.rig, left.state_dir)
    assert (done.returncode, limits_w(left.rig)) == (1, [280, 330])
    assert "GPU 0 does not let its power limit be set" in done.stderr


@pytest.mark.parametrize("text", ["", "{", '{"version": 2, "curves": {}, "limits": {"GPU": 1}}'])
def test_notes_that_cannot_be_used_are_not_guessed_at(left: RunningHelper, text: str) -> None:
    (left.state_dir / FILE).write_text(text)
    orders = len(left.rig.orders)
    done = restore_limits(left.rig, left.state_dir)
    assert (done.returncode, len(left.rig.orders)) == (1, orders)
    assert "cannot be used" in done.stderr
    assert "nvidia-smi -q -d POWER" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root is told that before")
def test_without_notes_there_is_nothing_to_do(fake_nvml: FakeRig, tmp_path: Path) -> None:
    done = restore_limits(fake_nvml, tmp_path / "none")
    assert (done.returncode, done.stderr, len(fake_nvml.orders)) == (0, "", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_only_root_may(left: RunningHelper) -> None:
    orders = len(left.rig.orders)
    script = (
        "import os, sys; from rigpanel.cooling import helper\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(helper.main(['--restore-limits', '--state-dir', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(left.state_dir)],
        cwd=TOP,
        env=left.rig.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "run this as root" in done.stderr) == (1, True)
    assert (limits_w(left.rig), len(left.rig.orders)) == ([280, 250], orders)


def test_a_helper_that_runs_puts_them_back_itself(helper: RunningHelper) -> None:
    set_limit(helper, 0, 280)
    set_limit(helper, 1, 250)
    helper.rig.card(1).limit_mw = 300_000
    done = restore_limits(helper.rig, helper.state_dir, beside=helper.socket)
    assert (done.returncode, limits_w(helper.rig)) == (0, [350, 300])
    assert "GPU 1 is at 300 W" in done.stderr
    assert [helper.card(card)["limit_changed"] for card in (0, 1)] == [False, False]


def test_whoever_answers_with_nonsense_is_done_without(left: RunningHelper) -> None:
    left.socket.unlink()
    with somebody_else(left.socket, b'{"v":99}'):
        done = restore_limits(left.rig, left.state_dir, beside=left.socket)
    assert (done.returncode, limits_w(left.rig)) == (0, [350, 330])
    assert "done without it" in done.stderr


def test_a_limit_on_trial_goes_back_when_the_helper_ends(helper: RunningHelper) -> None:
    set_limit(helper, 0, 300)
    set_limit(helper, 0, 250, confirm_within_s=120)
    assert (helper.end(), limits_w(helper.rig)) == (0, [300, 350])


def test_a_limit_on_trial_goes_back_at_the_next_start_when_it_was_killed(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    first = start_helper()
    set_limit(first, 0, 300)
    set_limit(first, 0, 270, confirm_within_s=120)
    set_limit(first, 0, 250, confirm_within_s=120)
    set_limit(first, 1, 250, confirm_within_s=120)
    first.ask("confirm", gpu=fake_nvml.uuid(1))
    die(first)
    assert limits_w(fake_nvml) == [250, 250]
    second = start_helper()
    until(lambda: limits_w(fake_nvml) == [300, 250], "what nobody confirmed goes back")
    assert "never confirmed" in second.ask("status")["events"][-1]["sentence"]
    second.ask("reset_power_limits")
    assert limits_w(fake_nvml) == [350, 350]


def test_a_trial_of_the_limit_from_before_is_undone_too(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    first = start_helper()
    set_limit(first, 0, 280)
    set_limit(first, 0, 350, confirm_within_s=120)
    die(first)
    start_helper()
    until(lambda: limits_w(fake_nvml)[0] == 280, "what nobody confirmed goes back")


def test_a_limit_set_to_what_it_was_is_no_change(helper: RunningHelper) -> None:
    for watts in (280, 350):
        set_limit(helper, 0, watts)
        assert helper.card(0)["limit_changed"] is (watts == 280)


def test_a_trial_undone_leaves_nothing_to_be_put_back(helper: RunningHelper) -> None:
    set_limit(helper, 0, 250, confirm_within_s=120)
    assert helper.card(0)["limit_changed"]
    helper.ask("revert", gpu=helper.rig.uuid(0))
    assert (limits_w(helper.rig)[0], helper.card(0)["limit_changed"]) == (350, False)
    assert json.loads((helper.state_dir / FILE).read_text())["limits"] == {}


def test_one_killed_between_writing_down_and_ordering_leaves_the_way_back(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    helper = start_helper()
    set_limit(helper, 0, 300)
    set_limit(helper, 0, 250)
    die(helper)
    fake_nvml.card(0).limit_mw = 300_000  # as if the last order had not been given any more
    assert restore_limits(fake_nvml, helper.state_dir).returncode == 0
    assert limits_w(fake_nvml)[0] == 350


def test_a_limit_whose_way_back_cannot_be_written_down_is_not_set(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    full = start_helper(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    with pytest.raises(HelperError, match=r"keeps its power limit.*Make room on that disk"):
        set_limit(full, 0, 250)
    assert [order for order in fake_nvml.orders if order.function == SET] == []
    assert not full.card(0)["limit_changed"]


def test_a_later_change_goes_back_to_what_another_program_set(helper: RunningHelper) -> None:
    set_limit(helper, 0, 280)
    helper.rig.card(0).limit_mw = 310_000
    set_limit(helper, 0, 250)
    helper.ask("reset_power_limits")
    assert limits_w(helper.rig)[0] == 310


def test_a_limit_that_is_gone_at_the_next_start_is_no_longer_ours(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    first = start_helper()
    set_limit(first, 0, 280)
    first.end()
    fake_nvml.card(0).limit_mw = 310_000
    second = start_helper()
    until(lambda: "310 W" in str(second.ask("status")["events"]), "it is told")
    assert not second.card(0)["limit_changed"]
    set_limit(second, 0, 250)
    second.ask("reset_power_limits", gpu=fake_nvml.uuid(0))
    assert limits_w(fake_nvml)[0] == 310  # what it found, not what was before the first time


def test_what_the_driver_forgot_is_set_again_and_what_another_program_set_is_not(
    watched: Watched,
) -> None:
    service = CoolingService(watched.loop, None, lambda: watched.now)
    service.start()
    for card in (0, 1):
        service.set_power_limit(watched.rig.uuid(card), 280)
    watched.rig.card(0).limit_mw = 300_000
    watched.rig.card(1).limit_mw = 350_000  # the driver's default
    watched.loop.control.restart()
    watched.now += 10
    service.tick()
    assert limits_w(watched.rig) == [300, 280]
