# SPDX-License-Identifier: MIT
"""However the helper ends, and whatever happens around it, no fan stays in manual."""

import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rigpanel.cooling.client import HelperError
from tests.cooling.conftest import Start
from tests.cooling.helper_process import CURVE, TOP, RunningHelper, restore_auto, until
from tests.fakes.nvml import FakeRig

HANDED_BACK_S = 3.0


def hold_both(helper: RunningHelper, rig: FakeRig) -> None:
    for card in (0, 1):
        helper.set_curve(card)
    assert rig.manual_fans == [(0, 0), (0, 1), (1, 0), (1, 1)]


def automatic(rig: FakeRig) -> bool:
    return not rig.manual_fans


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_asked_to_end(helper: RunningHelper, fake_nvml: FakeRig, number: signal.Signals) -> None:
    hold_both(helper, fake_nvml)
    if number is signal.SIGQUIT:
        helper.kill(number)  # as Ctrl+\ does, to both at once
    else:
        helper.process.send_signal(number)
    assert until(lambda: automatic(fake_nvml), "fans handed back") < HANDED_BACK_S
    assert helper.process.wait(10) == 0
    assert not helper.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_crashed_or_killed(
    helper: RunningHelper, fake_nvml: FakeRig, number: signal.Signals
) -> None:
    hold_both(helper, fake_nvml)
    os.kill(helper.child, number)
    assert until(lambda: automatic(fake_nvml), "fans handed back") < HANDED_BACK_S
    assert helper.process.wait(10) == 1


def test_a_terminal_cannot_stop_it_and_leave_the_fans_unwatched(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    hold_both(helper, fake_nvml)
    helper.kill(signal.SIGTSTP)  # as Ctrl+Z does
    fake_nvml.card(0).temperature_c = 75
    until(lambda: fake_nvml.card(0).fans[0].duty_pct == 80, "the curve is followed")


def test_the_guard_killed(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    hold_both(helper, fake_nvml)
    helper.process.kill()
    assert until(lambda: automatic(fake_nvml), "fans handed back") < HANDED_BACK_S


def test_both_killed_and_the_separate_way_run(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    hold_both(helper, fake_nvml)
    helper.kill()
    helper.process.wait(10)
    assert len(fake_nvml.manual_fans) == 4  # nobody is left: this is what must not stay
    done = restore_auto(fake_nvml)
    assert (done.returncode, fake_nvml.manual_fans) == (0, [])
    assert "Every fan of 2 card(s)" in done.stdout


def test_both_killed_and_the_helper_started_again(start_helper: Start, fake_nvml: FakeRig) -> None:
    first = start_helper()
    hold_both(first, fake_nvml)
    first.kill()
    first.process.wait(10)
    assert first.socket.exists()  # stale, and in nobody's way
    again = start_helper()
    assert fake_nvml.manual_fans == []
    assert again.card(0)["fans"][0]["held_by"] == "auto"


def test_hung(start_helper: Start, fake_nvml: FakeRig) -> None:
    helper = start_helper("--hung-after", "2")
    hold_both(helper, fake_nvml)
    os.kill(helper.child, signal.SIGSTOP)
    until(lambda: automatic(fake_nvml), "the guard sees that it hangs")
    assert helper.process.wait(10) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="the helper runs as root only")
def test_a_helper_that_the_driver_holds_past_sigkill_keeps_no_fan(fake_nvml: FakeRig) -> None:
    for card in (0, 1):
        fake_nvml.card(card).fans[0].manual = 1
    script = (
        "import signal, sys, time\n"
        "from rigpanel.cooling import guard\n"
        "signal.pidfd_send_signal = lambda *_: None  # as if it stood in a call that never ends\n"
        "guard.END_S = guard.FIRST_BEAT_S = 0.1\n"
        "sys.exit(guard.run_guarded(lambda beat: time.sleep(300) or 0, 0.1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=TOP, env=fake_nvml.env(), timeout=60, check=False
    )
    assert (done.returncode, fake_nvml.manual_fans) == (1, [])


def test_a_hung_driver_starves_systemds_watchdog(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.settimeout(20)
    start_helper(variables={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert [heard.recv(99), heard.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
    assert heard.recv(99) == b"WATCHDOG=1"
    fake_nvml.state.slow_ms = 60_000
    heard.settimeout(2.0)
    with contextlib.suppress(TimeoutError):
        for _ in range(4):  # what it may have said before it hung, and not a word more
            heard.recv(99)
        pytest.fail("a hung helper goes on saying that it lives")
    heard.close()
    fake_nvml.state.slow_ms = 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the helper runs as root only")
def test_where_systemd_watches_there_is_no_guard(fake_nvml: FakeRig, tmp_path: Path) -> None:
    script = f"WATCHDOG_PID=$$ exec {sys.executable} -m rigpanel.cooling.helper"
    with subprocess.Popen(
        ["sh", "-c", f"{script} --socket {tmp_path}/fand.sock --state-dir {tmp_path}"],
        cwd=TOP,
        env=fake_nvml.env(),
    ) as helper:
        until((tmp_path / "fand.sock").exists, "it serves")
        children = Path(f"/proc/{helper.pid}/task/{helper.pid}/children").read_text()
        helper.terminate()
        assert (children, helper.wait(20)) == ("", 0)


def test_a_panel_that_leased_the_fans_dies(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    script = (
        "import sys, time\n"
        "from rigpanel.cooling.client import HelperClient\n"
        "client = HelperClient(sys.argv[1])\n"
        f"client.ask('set_curve', gpu={fake_nvml.uuid(0)!r}, curve={CURVE!r}, lease=True)\n"
        "print('held', flush=True)\n"
        "time.sleep(99)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(helper.socket)], cwd=TOP, stdout=subprocess.PIPE
    ) as panel:
        assert panel.stdout is not None
        assert panel.stdout.readline() == b"held\n"
        assert fake_nvml.manual_fans == [(0, 0), (0, 1)]
        panel.kill()
        assert until(lambda: automatic(fake_nvml), "fans handed back") < HANDED_BACK_S


def test_a_panel_that_leases_a_fan_with_a_kept_curve_is_no_reason_to_take_it_up_at_the_end(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.set_curve(0, persist=True)
    with helper.connect() as panel:
        panel.ask("set_curve", gpu=fake_nvml.uuid(0), curve=CURVE, lease=True)
        assert (helper.end(), fake_nvml.manual_fans) == (0, [])


def test_suspend_and_resume(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    hold_both(helper, fake_nvml)
    helper.ask("set_power_limit", gpu=fake_nvml.uuid(1), limit_w=270)
    announce = [sys.executable, "-m", "rigpanel.cooling.helper", "--socket", str(helper.socket)]
    subprocess.run([*announce, "--suspend"], cwd=TOP, env=fake_nvml.env(), check=True)
    assert fake_nvml.manual_fans == []
    fake_nvml.reload_driver()
    before = len(fake_nvml.orders)
    subprocess.run([*announce, "--resume"], cwd=TOP, env=fake_nvml.env(), check=True)
    assert len(fake_nvml.orders) == before, "a driver that has just woken is left alone at first"
    until(lambda: len(fake_nvml.manual_fans) == 4, "the curves are followed again")
    until(lambda: fake_nvml.card(1).limit_mw == 270_000, "the limit is set again")


def test_the_driver_reloaded(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    hold_both(helper, fake_nvml)
    fake_nvml.reload_driver()
    assert fake_nvml.manual_fans == []
    until(lambda: len(fake_nvml.manual_fans) == 4, "the curves are followed again")


def test_a_card_lost_and_found(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    hold_both(helper, fake_nvml)
    fake_nvml.lose(1)
    fake_nvml.card(0).temperature_c = 75
    until(lambda: fake_nvml.card(0).fans[1].duty_pct == 80, "the other card goes on")
    until(lambda: helper.card(1)["failsafe"], "the loss is told")
    assert "gpu lost" in helper.card(1)["failsafe"]
    fake_nvml.bring_back(1)
    fake_nvml.card(1).temperature_c = 60
    until(lambda: fake_nvml.card(1).fans[0].duty_pct == 50, "the card is followed again")


def test_a_full_disk(start_helper: Start, fake_nvml: FakeRig) -> None:
    full = start_helper(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    with pytest.raises(HelperError, match="will not outlast the helper"):
        full.set_curve(0, persist=True)
    assert fake_nvml.manual_fans == [(0, 0), (0, 1)]  # in force all the same
    assert full.end() == 0
    assert fake_nvml.manual_fans == []


def test_what_is_kept_comes_back_and_what_is_not_does_not(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    first = start_helper()
    first.set_curve(0, persist=True)
    first.set_curve(1)
    first.end()
    assert fake_nvml.manual_fans == []
    start_helper()
    until(lambda: fake_nvml.manual_fans == [(0, 0), (0, 1)], "the kept curve is followed")


def test_a_spoilt_state_file_leaves_the_cards_to_themselves(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "cooling.json").write_text('{"version": 1, "curves": {"GPU')
    helper = start_helper()
    assert "cannot be used" in helper.ask("status")["events"][0]["sentence"]
    assert fake_nvml.manual_fans == []


def test_a_second_helper_does_not_start(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    hold_both(helper, fake_nvml)
    second = RunningHelper(fake_nvml, helper.socket.parent)
    assert second.process.wait(30) == 1
    assert "already serves" in second.log.read_text()
    assert len(fake_nvml.manual_fans) == 4  # the first one's fans are its own


def test_a_helper_that_gets_no_socket_hands_back_what_a_dead_one_left(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    first = start_helper()
    hold_both(first, fake_nvml)
    first.kill()
    first.process.wait(10)
    first.socket.unlink()
    first.socket.mkdir()
    second = RunningHelper(fake_nvml, tmp_path)
    assert second.process.wait(30) == 1
    assert "cannot be made" in second.log.read_text()
    assert "Traceback" not in second.log.read_text()
    assert fake_nvml.manual_fans == []


def test_a_lock_that_leads_elsewhere_is_not_followed(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    (tmp_path / "fand.sock.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AssertionError, match="cannot be made"):
        start_helper()
    assert not (tmp_path / "elsewhere").exists()


def kill_at_random_moments(start: Start, rig: FakeRig, times: int) -> None:
    """Kill helper, guard or both while curves change, and print how long the fans took."""
    chance = random.Random(times)  # noqa: S311 - no secrets
    slowest = {"helper": 0.0, "guard": 0.0, "both": 0.0}
    counts = dict.fromkeys(slowest, 0)
    held = 0
    for turn in range(times):
        helper = start()
        who = ("helper", "guard", "both")[turn % 3]
        for card in (0, 1):
            rig.card(card).temperature_c = chance.randint(60, 74)
            helper.set_curve(card, persist=chance.random() < 0.5)
        moment = time.monotonic() + chance.uniform(0.0, 0.3)
        while time.monotonic() < moment:
            rig.card(chance.randint(0, 1)).temperature_c = chance.randint(60, 74)
            helper.set_curve(chance.randint(0, 1))
        held += len(rig.manual_fans) == 4
        if who == "helper":
            os.kill(helper.child, signal.SIGKILL)
        elif who == "guard":
            helper.process.kill()
        else:
            helper.kill()
            helper.process.wait(10)
            restore_auto(rig)
        took_s = until(lambda: automatic(rig), f"fans handed back in turn {turn} ({who})")
        slowest[who], counts[who] = max(slowest[who], took_s), counts[who] + 1
        helper.process.wait(10)
    for who, count in counts.items():
        print(f"SIGKILL to {who}: {count} times, fans automatic after {slowest[who]:.2f} s at most")
    assert held == times
    assert max(slowest.values()) < HANDED_BACK_S


def test_killed_at_random_moments(start_helper: Start, fake_nvml: FakeRig) -> None:
    kill_at_random_moments(start_helper, fake_nvml, 6)


@pytest.mark.soak
def test_killed_a_hundred_times(start_helper: Start, fake_nvml: FakeRig) -> None:
    kill_at_random_moments(start_helper, fake_nvml, 100)
