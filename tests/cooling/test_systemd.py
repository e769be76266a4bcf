# SPDX-License-Identifier: MIT
"""The helper under a real systemd and a real polkitd, in a container that is thrown away.

Needs root and, on Debian, the packages systemd-container, polkitd and pkexec: run it with `--soak`.
"""

import contextlib
import os
import re
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rigpanel.cooling.install import system_python
from tests.cooling.booted import UNIT, Booted, CannotBootError, booted
from tests.cooling.helper_process import CURVE, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

HANDED_BACK_S = 3.0
SLEEP_UNIT = "rigpanel-fand-sleep.service"


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
    used_s = (int(installed.shows("CPUUsageNSec")) - before_ns) / 1e9
    share = used_s / (time.monotonic() - begun)
    resident_mib = psutil.Process(installed.pid).memory_info().rss / 2**20
    print(f"{share:.2%} of a core; {resident_mib:.1f} MiB resident")
    print(f"systemd's own figure in bytes: {installed.shows('MemoryCurrent')}")
    assert resident_mib < 40
    assert share < 0.02


def test_it_reaches_the_cards_and_little_else(installed: Booted) -> None:
    for name, major, minor in (("nvidiactl", 195, 255), ("nvidia0", 195, 0), ("disk", 7, 0)):
        kind = stat.S_IFBLK if name == "disk" else stat.S_IFCHR
        os.mknod(installed.inside(f"/dev/{name}"), kind | 0o666, os.makedev(major, minor))
    files = ["/dev/nvidiactl", "/dev/nvidia0", "/dev/disk", "/etc/passwd", "/root/.profile"]
    files += ["/var/lib/rigpanel/tried", "/run/rigpanel/tried"]
    installed.write(
        "etc/try.py",
        "import errno, os\n"
        f"for file in {files}:\n"
        "    try: os.open(file, os.O_RDWR | os.O_CREAT); print(file, 'opened')\n"
        "    except OSError as error: print(file, errno.errorcode[error.errno])\n",
    )
    with more_in_the_unit(installed, f"ExecStartPre={system_python()} /etc/try.py"):
        installed.run("systemctl", "restart", UNIT)
    tried = dict(re.findall(r": (/\S+) (\w+)$", installed.journal(), re.MULTILINE))
    # A card's device is let through to the driver, which is not there.
    assert tried == dict(
        zip(files, ["ENXIO", "ENXIO", "EPERM", "EROFS", "EACCES", "opened", "opened"], strict=True)
    )
    installed.run("rm", "/var/lib/rigpanel/tried")


def test_killed(installed: Booted) -> None:
    installed.set_curve()
    for number in (signal.SIGKILL, signal.SIGSEGV):
        os.kill(installed.pid, number)
        automatic(installed)
        installed.wait_held()  # systemd has started it again, and the kept curve is followed
    assert int(installed.shows("NRestarts")) >= 2


def test_killed_with_everything_it_started(installed: Booted) -> None:
    """As one sweep over the control group: under systemd there is no guard that could be left."""
    installed.set_curve()
    installed.run("systemctl", "kill", "--signal=SIGKILL", UNIT)
    automatic(installed)
    installed.wait_held()


def test_hung(installed: Booted) -> None:
    installed.set_curve()
    pid = installed.pid
    os.kill(pid, signal.SIGSTOP)
    gone(installed, pid)
    automatic(installed)
    assert "Watchdog timeout" in installed.journal()
    installed.wait_held()


def test_it_crashes_again_and_again(installed: Booted) -> None:
    installed.set_curve()
    for _ in range(6):  # the first was no start of the last minute's
        installed.wait_held()
        os.kill(installed.pid, signal.SIGKILL)
        automatic(installed)
    until(lambda: installed.shows("ActiveState") == "failed", "systemd gives up")
    assert installed.rig.manual_fans == []
    order = installed.rigpanel("fans", "set", "0", "--curve", "40:30,84:100", check=False)
    assert "`rigpanel setup-helper`" in order.stderr
    installed.rigpanel("setup-helper")  # what that sentence says mends it
    assert installed.shows("ActiveState") == "active"
    installed.wait_held()


def test_stopped_and_started_again(installed: Booted) -> None:
    installed.set_curve()
    installed.run("systemctl", "stop", UNIT)
    assert installed.rig.manual_fans == []
    assert installed.shows("Result") == "success"
    installed.run("systemctl", "start", UNIT)
    installed.wait_held()
    orders = len(installed.rig.orders)
    installed.run("systemctl", "restart", UNIT)
    installed.wait_held()
    assert "DefaultFanSpeed" in "".join(it.function for it in installed.rig.orders[orders:])


def test_a_curve_not_kept_ends_with_it(installed: Booted) -> None:
    installed.set_curve(persist=False)
    installed.run("systemctl", "restart", UNIT)
    assert installed.rig.manual_fans == []


def test_killed_while_it_is_being_stopped(installed: Booted) -> None:
    installed.set_curve()
    kill_as_it_is_stopped(installed)


def kill_as_it_is_stopped(system: Booted) -> None:
    """Kill it where nothing but ExecStopPost is left to hand back, and no start comes after."""
    pid = system.pid
    with more_in_the_unit(system, "ExecStop=/bin/sleep 2"):
        system.run("systemctl", "stop", "--no-block", UNIT)
        until(lambda: system.shows("SubState") == "stop", "it is being stopped")
        assert len(system.rig.manual_fans) == 2
        os.kill(pid, signal.SIGKILL)
        until(lambda: system.shows("ActiveState") == "failed", "it is stopped")
    assert system.rig.manual_fans == []


@contextlib.contextmanager
def more_in_the_unit(system: Booted, line: str) -> Iterator[None]:
    drop_in = system.inside(f"/run/systemd/system/{UNIT}.d/more.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(f"[Service]\n{line}\n")
    system.run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        shutil.rmtree(drop_in.parent)
        system.run("systemctl", "daemon-reload")


def test_suspend_and_resume(installed: Booted) -> None:
    """As logind does it: suspend.target, for which systemd's own unit sends the machine asleep."""
    installed.set_curve()
    asleep = installed.inside("/run/asleep")
    for _ in range(2):
        installed.run("systemctl", "start", "--no-block", "suspend.target")
        until(asleep.exists, "the machine sleeps")
        assert installed.rig.manual_fans == []
        asleep.unlink()
        installed.wait_held()
        until(lambda: installed.shows("ActiveState", SLEEP_UNIT) == "inactive", "told of the end")
    assert installed.shows("Result", SLEEP_UNIT) == "success"


def test_suspend_while_it_hangs(installed: Booted) -> None:
    installed.set_curve()
    os.kill(installed.pid, signal.SIGSTOP)
    installed.run("systemctl", "start", "--no-block", "suspend.target")
    until(installed.inside("/run/asleep").exists, "the machine sleeps all the same")
    assert installed.rig.manual_fans == []
    installed.inside("/run/asleep").unlink()
    installed.wait_held()


def test_who_may_set(installed: Booted) -> None:
    """By the group, or by the real polkit's word: a rule of the administrator's, or none."""
    for name, more in (("stranger", ()), ("member", ("-G", "rigpanel")), ("trusted", ())):
        installed.run("useradd", "--create-home", *more, name)
    installed.write(
        "etc/polkit-1/rules.d/50-rig.rules",
        "polkit.addRule(function(action, subject) {\n"
        '  if (action.id == "io.github.rigpanel.fand.set" && subject.user == "trusted")\n'
        "    return polkit.Result.YES;\n"
        "});\n",
    )
    order = {"gpu": installed.rig.uuid(0), "curve": CURVE}
    assert installed.ask_as("stranger", "set_curve", order).startswith("refused: You may not")
    assert installed.rig.manual_fans == []
    assert installed.ask_as("member", "set_curve", order) == "done"
    installed.wait_held()
    for free in ("status", "auto"):
        assert installed.ask_as("stranger", free, {}) == "done"
    assert installed.rig.manual_fans == []
    assert installed.ask_as("trusted", "set_curve", order) == "done"
    installed.wait_held()
    limit = {"gpu": installed.rig.uuid(1), "limit_w": 300}
    assert installed.ask_as("stranger", "set_power_limit", limit).startswith("refused")
    assert installed.ask_as("trusted", "set_power_limit", limit) == "done"
    assert installed.rig.card(1).limit_mw == 300_000
    installed.ask("reset_power_limits")
    installed.run("systemctl", "is-active", "polkit.service")  # which had to be asked


def test_a_reboot(installed: Booted) -> None:
    installed.set_curve()
    installed.shut_down()
    assert installed.rig.manual_fans == []
    installed.boot()
    installed.wait_held()
    assert installed.shows("ActiveState") == "active"


def left(system: Booted) -> set[str]:
    """Everything on the disk and in systemd that bears the program's name, the checkout aside."""
    found = system.run(
        *("find", "/etc", "/usr", "/var/lib", "/run", "-xdev", "-name", "*rigpanel*"), check=False
    ).stdout.split()
    units = system.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "rigpanel*")
    return {*found, *units.stdout.split()}


def test_installed_over_an_older_one(installed: Booted) -> None:
    installed.set_curve()
    unit = installed.inside(f"/etc/systemd/system/{UNIT}")
    whole = unit.read_text()
    unit.write_text(whole.replace("WatchdogSec=10", "WatchdogSec=300"))
    installed.run("systemctl", "daemon-reload")
    before = installed.pid
    installed.rigpanel("setup-helper")
    assert unit.read_text() == whole
    assert installed.shows("WatchdogUSec") == "10s"
    assert installed.pid != before
    installed.wait_held()


@pytest.mark.parametrize("how", ["running", "stopped", "failed"])
def test_its_removal(installed: Booted, how: str) -> None:
    installed.set_curve()
    installed.ask("set_power_limit", gpu=installed.rig.uuid(1), limit_w=300)
    if how == "stopped":
        installed.run("systemctl", "stop", UNIT)
    elif how == "failed":
        kill_as_it_is_stopped(installed)
    assert installed.rig.card(1).limit_mw == 300_000
    installed.rigpanel("setup-helper", "--remove")
    assert (installed.rig.manual_fans, installed.rig.card(1).limit_mw) == ([], 350_000)
    assert left(installed) == set()
    assert installed.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""
    assert "not_running" in installed.rigpanel("fans", "--json").stdout


@pytest.fixture
def session(system: Booted) -> Booted:
    """A system without the service, with a user who may run anything as root by pkexec."""
    system.rigpanel("setup-helper", "--remove")
    system.run("useradd", "--create-home", "owner", check=False)
    system.write(
        "etc/polkit-1/rules.d/50-pkexec.rules",
        "polkit.addRule(function(action, subject) {\n"
        '  if (action.id == "org.freedesktop.policykit.exec" && subject.user == "owner")\n'
        "    return polkit.Result.YES;\n"
        "});\n",
    )
    if system.run("which", "pkexec", check=False).returncode != 0:
        pytest.skip("pkexec is not installed")
    command = f"exec {sys.executable} -m rigpanel setup-helper --session > ~/log 2>&1"
    system.run("sh", "-c", command, user="owner", DISPLAY=":0")
    return system


def test_a_session_by_pkexec(session: Booted) -> None:
    pids = session.run("pgrep", "-u", "root", "-f", "session-of").stdout.split()
    assert len(pids) == 2  # it and its guard
    archive = "/home/owner/.cache/rigpanel/rigpanel-fand.pyz"
    order = {"gpu": session.rig.uuid(0), "curve": CURVE}
    session.run("useradd", "--create-home", "guest", check=False)
    session.run("cp", archive, "/run/client.pyz")
    assert session.ask_as("guest", "set_curve", order, "/run/client.pyz").startswith("refused")
    assert session.ask_as("owner", "set_curve", order, archive) == "done"
    session.wait_held()
    session.run("kill", "-9", *pids[1:])
    automatic(session)


def test_a_session_ends_with_the_panel(session: Booted) -> None:
    session.set_curve(persist=False)
    until(lambda: not session.answers(), "it ends a minute after its user's last connection", 90.0)
    assert session.rig.manual_fans == []


def test_the_service_takes_a_sessions_place(session: Booted) -> None:
    session.set_curve(persist=False)
    session.rigpanel("setup-helper", user="owner", DISPLAY=":0")  # pkexec, once more
    assert session.shows("ActiveState") == "active"
    assert session.run("pgrep", "-f", "session-of", check=False).stdout == ""
    assert session.rig.manual_fans == []


def test_the_service_started_beside_a_session_leaves_it_alone(session: Booted) -> None:
    session.set_curve(persist=False)
    session.rigpanel("setup-helper", "--root", "/")
    session.run("systemctl", "daemon-reload")
    assert session.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert "already serves" in session.journal()
    assert session.answers()
    session.wait_held()
