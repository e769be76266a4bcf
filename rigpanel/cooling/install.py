# SPDX-License-Identifier: MIT
"""Puts the fan helper where only root writes, as one file and a service, and takes it away."""

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rigpanel import errors, paths
from rigpanel.cooling import helper, restore
from rigpanel.cooling.client import HelperClient, HelperError
from rigpanel.cooling.protocol import USUAL_SOCKET

FILES = "helper"
UNITS = ("rigpanel-fand.service", "rigpanel-fand-sleep.service")
POLICY = "io.github.rigpanel.fand.policy"
ARCHIVE, RESTORE = "rigpanel-fand.pyz", "restore-fans.py"
UNIT_PYTHON = "/usr/bin/python3"
LEAST_PYTHON = (3, 11)
HOMES = ("/home", "/root", "/run/user")
"""What the unit does not see (ProtectHome)."""
ENDED_S = 10.0
"""Patience with a session's helper that hands its fans back."""
MAIN = "import sys\nfrom rigpanel.cooling.helper import main\nsys.exit(main())\n"
RIG_MODULES = (
    "__init__",
    "as_json",
    "back_off",
    "nvml_calls",
    "nvml_card",
    "nvml_control",
    "nvml_vitals",
    "readings",
    "source",
    "vitals",
)
"""What of `rig` the helper needs: no psutil, no numpy."""
PANELS_OWN = {"editing", "install", "preview", "recording", "saved_curves", "thermal_model"}
"""What of this room the helper does not need."""
UNCHECKED = ("--invalidation-mode", "unchecked-hash")
"""Has Python believe the compiled files: their sources lie beside them in the same archive."""


class InstallError(errors.RigpanelError):
    """The helper cannot be installed or started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything goes, under `root` (another folder than / in a package or a test)."""

    root: Path = Path("/")

    @property
    def library(self) -> Path:
        """Folder of the helper's code."""
        return self.root / "usr/local/lib/rigpanel"

    @property
    def command(self) -> Path:
        """`rigpanel-fand`, where sudo looks for commands."""
        return self.root / "usr/local/sbin/rigpanel-fand"

    @property
    def units(self) -> Path:
        """Folder of systemd's units."""
        return self.root / "etc/systemd/system"

    @property
    def policy(self) -> Path:
        """Polkit's description of the right to set."""
        return self.root / "usr/share/polkit-1/actions" / POLICY

    @property
    def state(self) -> Path:
        """Folder of the curves kept."""
        return self.root / "var/lib/rigpanel"


def runs_systemd() -> bool:
    """Whether this system was started by systemd."""
    return Path("/run/systemd/system").is_dir()


def build_archive(out: Path, python: str) -> None:
    """Write the helper and the NVML binding into one file, compiled for the Python that runs it.

    Compiled, because compiling the binding at each start costs the helper 12 MiB for its life.
    """
    package = Path(errors.__file__).parent
    binding = importlib.util.find_spec("pynvml")
    if binding is None or binding.origin is None:
        raise InstallError("The Python package nvidia-ml-py is missing: install rigpanel anew.")
    modules = [package / "__init__.py", package / "errors.py"]
    modules += [package / "rig" / f"{name}.py" for name in RIG_MODULES]
    modules += [m for m in sorted((package / "cooling").glob("*.py")) if m.stem not in PANELS_OWN]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as made:
        folder = Path(made)
        (folder / "__main__.py").write_text(MAIN, encoding="utf-8")
        shutil.copyfile(binding.origin, folder / "pynvml.py")
        for module in modules:
            copy = folder / "rigpanel" / module.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, copy)
        _run(python, "-IS", "-m", "compileall", "-q", "-b", *UNCHECKED, made)
        whole = folder / ARCHIVE
        with zipfile.ZipFile(whole, "w") as archive:
            for file in sorted(folder.rglob("*.py*")):
                if file != whole:
                    archive.write(file, str(file.relative_to(folder)))
        whole.chmod(0o644)
        whole.replace(out)


def system_python(*, in_homes: bool = False) -> str:
    """Return a Python that only root can change; raises InstallError where there is none.

    One in a home is no use to the unit.
    """
    mine = str(Path(sys.executable).resolve())
    others = (f"/usr/bin/python3.{minor}" for minor in range(20, 10, -1))
    for candidate in (UNIT_PYTHON, mine, *others):
        hidden = not in_homes and _in_a_home(candidate)
        if not hidden and _only_roots(Path(candidate)) and _version(candidate) >= LEAST_PYTHON:
            return candidate
    raise InstallError(
        "The helper runs as root, so it needs a Python 3.11 or newer that belongs to root. Install "
        "your distribution's python3."
    )


def install(places: Places) -> None:
    """Write every file; raises InstallError. systemd is told by `enable`."""
    python = system_python()
    try:
        build_archive(places.library / ARCHIVE, python)
        _put(places.library / RESTORE, Path(restore.__file__).read_text(encoding="utf-8"))
        archive = f"/{(places.library / ARCHIVE).relative_to(places.root)}"
        _put(places.command, f'#!/bin/sh\nexec {python} -IS {archive} "$@"\n', 0o755)
        for unit in UNITS:
            text = _shipped(unit).read_text(encoding="utf-8")
            _put(places.units / unit, text.replace(UNIT_PYTHON, python))
        _put(places.policy, _shipped(POLICY).read_text(encoding="utf-8"))
    except OSError as error:
        raise InstallError(f"{error.filename} cannot be written ({error.strerror}).") from error


def enable(socket: str | None = None) -> None:
    """Have systemd start the helper now and at every boot; raises InstallError."""
    if shutil.which("groupadd"):
        _run("groupadd", "--system", "--force", "rigpanel")
    _run("systemctl", "daemon-reload")
    end_service(socket)
    _run("systemctl", "enable", *UNITS)
    _run("systemctl", "start", UNITS[0])


def end_service(socket: str | None = None) -> None:
    """End the helper, systemd's or a session's, which hands the fans back; start it no more."""
    for unit in UNITS:
        with contextlib.suppress(InstallError):  # not installed: the rest is done all the same
            _run("systemctl", "disable", "--now", unit)
    _forget_failures()
    with contextlib.suppress(HelperError, OSError):
        with HelperClient(socket) as client:
            ended = os.pidfd_open(client.served_by.pid)
        signal.pidfd_send_signal(ended, signal.SIGTERM)
        select.select([ended], [], [], ENDED_S)
        os.close(ended)


def put_cards_back(places: Places, socket: str | None = None) -> bool:
    """Put every fan and power limit back, whether a helper runs or not; whether all are.

    What is not is said on stderr.
    """
    where = ["--state-dir", str(places.state), *(["--socket", socket] if socket else [])]
    return helper.main(["--restore-auto", "--restore-limits", *where]) == 0


def remove(places: Places) -> None:
    """Remove what `install` wrote, and what the helper kept."""
    for file in (*(places.units / unit for unit in UNITS), places.policy, places.command):
        file.unlink(missing_ok=True)
    for folder in (places.library, places.state):
        shutil.rmtree(folder, ignore_errors=True)
    if places.root == Path("/") and runs_systemd():
        shutil.rmtree(USUAL_SOCKET.parent, ignore_errors=True)  # which the unit preserves
        with contextlib.suppress(InstallError):
            _run("systemctl", "daemon-reload")
        _forget_failures()


def session_command() -> list[str]:
    """Return the command that runs the helper until this user's panel is gone.

    Raises InstallError where nothing can ask for the right.
    """
    archive, python = paths.cache_dir() / ARCHIVE, system_python(in_homes=True)
    build_archive(archive, python)
    command = [python, "-IS", str(archive), "--session-of", str(os.getuid())]
    return [*as_root(), *command]


def as_root() -> list[str]:
    """Return what goes before a command to run it as root; raises InstallError."""
    if os.geteuid() == 0:
        return []
    graphical = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    for asker in ("pkexec", "sudo") if graphical else ("sudo", "pkexec"):
        found = shutil.which(asker)
        if found:
            return [found]
    raise InstallError("Neither pkexec nor sudo is here to ask for the right: run this as root.")


def _forget_failures() -> None:
    """Have systemd start a unit again it has given up, and show none that is no more."""
    for unit in UNITS:
        with contextlib.suppress(InstallError):  # there is nothing to forget
            _run("systemctl", "reset-failed", unit)


def _shipped(name: str) -> Path:
    """Return a file that came with rigpanel, from an installed wheel or from a checkout."""
    package = Path(errors.__file__).parent
    installed = package / FILES / name
    return installed if installed.exists() else package.parent / "packaging" / FILES / name


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _only_roots(file: Path) -> bool:
    """Whether a file and every folder above it are root's, and nobody else may write them."""
    try:
        real = file.resolve(strict=True)
        states = [part.stat() for part in (real, *real.parents)]
    except OSError:
        return False
    return all(
        state.st_uid == 0 and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) for state in states
    )


def _in_a_home(file: str) -> bool:
    real = Path(file).resolve()
    return any(real.is_relative_to(home) for home in HOMES)


def _version(python: str) -> tuple[int, ...]:
    script = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run(
        [python, "-IS", "-c", script], capture_output=True, text=True, timeout=10, check=False
    )
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else (0,)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"`{' '.join(command)}` cannot be run ({error}).") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InstallError(f"`{' '.join(command)}` failed: {said[-1] if said else 'no word why'}.")
