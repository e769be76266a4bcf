# SPDX-License-Identifier: MIT
"""The helper as it is installed: one file, its units, and nothing of them left after."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rigpanel.cli import main
from rigpanel.cooling import install
from rigpanel.cooling.client import HelperClient, NotRunningError
from rigpanel.cooling.install import Places, build_archive, system_python
from tests.cooling.conftest import Start
from tests.cooling.helper_process import PATIENCE_S, TOP, until
from tests.fakes.nvml import FakeRig

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the helper runs as root only")


@pytest.fixture
def installed(tmp_path: Path) -> Places:
    assert main(["setup-helper", "--root", str(tmp_path)]) == 0
    return Places(tmp_path)


@needs_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_one_file_runs_alone_and_hands_back_though_it_is_gone(
    fake_nvml: FakeRig, tmp_path: Path, number: signal.Signals
) -> None:
    build_archive(tmp_path / "fand.pyz", sys.executable)
    socket = tmp_path / "fand.sock"
    command = [sys.executable, "-IS", str(tmp_path / "fand.pyz"), "--socket", str(socket)]
    with subprocess.Popen(
        [*command, "--state-dir", str(tmp_path)], env=fake_nvml.env(), cwd="/"
    ) as started:
        until(lambda: serves(socket), "it serves")
        with HelperClient(str(socket)) as client:
            curve = {"points": [[40, 30], [80, 90]]}
            client.ask("set_curve", gpu=fake_nvml.uuid(0), curve=curve)
        assert fake_nvml.manual_fans == [(0, 0), (0, 1)]
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        assert sum(map(resident_mib, [str(started.pid), *children])) < 40
        (tmp_path / "fand.pyz").unlink()  # as an upgrade of the session's helper may do
        os.kill(int(children[0]), number)
        assert started.wait(PATIENCE_S) == int(number is signal.SIGKILL)
    assert fake_nvml.manual_fans == []


def serves(socket: Path) -> bool:
    """Whether somebody listens: the socket is there a moment before."""
    try:
        HelperClient(str(socket)).close()
    except NotRunningError:
        return False
    return True


def resident_mib(pid: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_the_units_start_what_was_installed(installed: Places) -> None:
    unit = (installed.units / "rigpanel-fand.service").read_text()
    for file in (installed.library / install.ARCHIVE, installed.library / install.RESTORE):
        assert file.exists()
        assert f"/{file.relative_to(installed.root)}" in unit
    assert f"ExecStart={system_python()} -IS" in unit
    assert unit.count("ExecStopPost=") == 1
    for line in (
        *("Type=notify", "WatchdogSec=10", "DevicePolicy=closed", "NoNewPrivileges=yes"),
        "DeviceAllow=char-195 rw",  # by number: by its name only a driver loaded already is found
    ):
        assert line in unit.splitlines()


def test_the_command_named_in_every_sentence_is_where_sudo_looks(installed: Places) -> None:
    command = installed.root / "usr/local/sbin/rigpanel-fand"
    assert os.access(command, os.X_OK)
    archive = installed.library / install.ARCHIVE
    text = command.read_text()
    assert f" /{archive.relative_to(installed.root)} " in text
    command.write_text(text.replace("/usr/local/lib/rigpanel", str(installed.library)))
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, "--restore-auto" in done.stdout) == (0, True)


def test_files_that_are_only_written_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["setup-helper", "--root", str(tmp_path)]) == 0
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_no_fault_with_the_units(installed: Places) -> None:
    units = [str(installed.units / unit) for unit in install.UNITS]
    for unit in units:
        text = Path(unit).read_text().replace("/usr/local/lib", str(installed.library.parent))
        Path(unit).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_polkit_asks_once_for_the_active_user(installed: Places) -> None:
    action = ET.parse(installed.policy).getroot().find("action")  # noqa: S314 - ours
    assert action is not None
    assert action.get("id") == "io.github.rigpanel.fand.set"
    assert action.findtext("defaults/allow_active") == "auth_admin_keep"


def test_nothing_is_left_after_its_removal(installed: Places) -> None:
    installed.state.mkdir(parents=True)
    (installed.state / "cooling.json").touch()
    assert main(["setup-helper", "--remove", "--root", str(installed.root)]) == 0
    assert [path for path in installed.root.rglob("*rigpanel*") if path.is_file()] == []
    assert not installed.state.exists()


def remove(rig: FakeRig, places: Places) -> subprocess.CompletedProcess[str]:
    """Run `setup-helper --remove` on these places in place of the machine's, without systemd."""
    script = (
        "import sys; from pathlib import Path\n"
        "from rigpanel.cli import main, setup_helper\n"
        "from rigpanel.cooling import install\n"
        "install.runs_systemd = lambda: False\n"
        "setup_helper.Places = lambda: install.Places(Path(sys.argv[1]))\n"
        "sys.exit(main(['setup-helper', '--remove', '--socket', sys.argv[2]]))"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(places.root), str(places.root / "fand.sock")],
        cwd=TOP,
        env=rig.env(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@needs_root
@pytest.mark.parametrize("runs", [True, False])
def test_its_removal_puts_fans_and_limits_back_whether_a_helper_runs_or_not(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path, runs: bool
) -> None:
    places = Places(tmp_path)
    helper = start_helper("--state-dir", str(places.state))
    helper.set_curve(0, persist=True)
    helper.ask("set_power_limit", gpu=fake_nvml.uuid(0), limit_w=280)
    if not runs:
        helper.kill()
        helper.process.wait(PATIENCE_S)
        assert len(fake_nvml.manual_fans) == 2
    done = remove(fake_nvml, places)
    assert (done.returncode, done.stderr) == (0, "")
    assert (fake_nvml.manual_fans, fake_nvml.card(0).limit_mw) == ([], 350_000)
    assert not places.state.exists()


@needs_root
def test_its_removal_says_what_could_not_be_put_back(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    places = Places(tmp_path)
    helper = start_helper("--state-dir", str(places.state))
    helper.ask("set_power_limit", gpu=fake_nvml.uuid(0), limit_w=280)
    helper.end()
    fake_nvml.lose(0)
    done = remove(fake_nvml, places)
    assert (done.returncode, done.stdout.count("removed")) == (1, 0)
    assert fake_nvml.uuid(0) in done.stderr
    assert "A reboot puts it back" in done.stderr


def test_a_python_in_a_home_is_left_alone_for_the_unit_does_not_see_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = Path(system_python()).resolve().parent
    monkeypatch.setattr(install, "HOMES", (str(home),))
    monkeypatch.setattr(sys, "executable", str(home / "python3"))
    with pytest.raises(install.InstallError, match="belongs to root"):
        system_python()
    assert system_python(in_homes=True)  # a session sees it


def test_without_systemd_it_says_what_to_do_instead(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "runs_systemd", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert main(["setup-helper"]) == 1
    assert "setup-helper --session" in capsys.readouterr().err
