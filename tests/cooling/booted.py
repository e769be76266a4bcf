# SPDX-License-Identifier: MIT
"""A system of its own under systemd: this machine's disk, booted in a container and thrown away."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rigpanel.cooling.client import HelperClient, NotRunningError
from rigpanel.cooling.install import ARCHIVE, Places, system_python
from tests.cooling.helper_process import CURVE, PATIENCE_S, TOP, until
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import VARIABLE

BOOT_S = 60.0
DRIVER = "/dev/rig"
"""Where the fake driver and its cards lie inside: under /dev, as the real ones do."""
UNIT = "rigpanel-fand.service"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AS_CLIENT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from rigpanel.cooling.client import HelperClient, NoPermissionError
try:
    with HelperClient() as client:
        client.ask(sys.argv[2], **json.loads(sys.argv[3]))
    print("done")
except NoPermissionError as error:
    print("refused:", error)
"""


class CannotBootError(Exception):
    """No container can be booted here; the text says why."""


class Booted:
    """Reached from outside: its processes through nsenter, its files and sockets through /proc."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0:
            raise CannotBootError("only root can boot a container")
        for tool in ("systemd-nspawn", "nsenter"):
            if not shutil.which(tool):
                raise CannotBootError(f"{tool} is not installed")
        self._folder, self._disk = folder, folder / "disk"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._mounts = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._mount("tmpfs", folder, "mode=755")
            for made in ("upper", "work", "disk", "rig"):
                (folder / made).mkdir()
            layers = f"lowerdir=/,upperdir={folder / 'upper'},workdir={folder / 'work'}"
            self._mount("overlay", self._disk, layers)
            if not (self._disk / TOP.relative_to("/") / "rigpanel").is_dir():
                raise CannotBootError("the checkout is not on the root file system")
            self.rig = FakeRig.two_3090s(folder / "rig" / "cards")
            self.rig.state.root_only = 1
            shutil.copy(self.rig.library, folder / "rig")
            self._settle()
            self.boot()
            undo.pop_all()

    def _mount(self, kind: str, where: Path, options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", kind, "-o", options, kind, str(where)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotBootError(f"{kind} cannot be mounted: {done.stderr.strip()}")
        self._mounts.callback(subprocess.run, ["umount", "--lazy", str(where)], check=True)

    def _settle(self) -> None:
        """Let whatever is started inside find the fake driver, and everyone the checkout."""
        variables = f"LD_LIBRARY_PATH={DRIVER} {VARIABLE}={DRIVER}/cards"
        self.write(
            "etc/systemd/system.conf.d/rig.conf",
            f"[Manager]\nDefaultEnvironment={variables}\n",
        )
        self.write("etc/environment", variables.replace(" ", "\n") + "\n")
        self.write("etc/hostname", "rig\n")
        # Asleep for as long as this file is there, in place of the machine.
        self.write(
            "etc/systemd/system/systemd-suspend.service.d/rig.conf",
            "[Service]\nExecStart=\nExecStart=/bin/sh -c "
            "'touch /run/asleep; while [ -e /run/asleep ]; do sleep 0.1; done'\n",
        )
        for folder in (TOP, Path(sys.executable), Path(sys.executable).resolve()):
            for part in folder.parents:
                inside = self._disk / part.relative_to("/")
                inside.chmod(inside.stat().st_mode | 0o011)

    def boot(self) -> None:
        """Start it and wait until it is up; raises CannotBootError."""
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self._disk}"]
        command += ["--register=no", "--keep-unit", "--console=pipe", "--private-network"]
        command += [f"--machine=rig{os.getpid()}", f"--bind={self._folder / 'rig'}:{DRIVER}"]
        command += ["--capability=CAP_BPF", "--system-call-filter=bpf"]  # so that DeviceAllow holds
        log = self._folder / "boot.log"
        with log.open("ab") as out:
            self._nspawn = subprocess.Popen(
                command,
                # Of version 1 of control groups a container may use none.
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until_s = time.monotonic() + BOOT_S
        while not self._is_up():
            if self._nspawn.poll() is not None or time.monotonic() > until_s:
                said = log.read_text(errors="replace").strip().splitlines()
                raise CannotBootError(f"the container does not boot: {said[-3:]}")
            time.sleep(0.1)

    def _is_up(self) -> bool:
        if self._nspawn is None:
            return False
        me = self._nspawn.pid
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{me}/task/{me}/children").read_text().split():
                status = Path(f"/proc/{child}/status").read_text()
                if status.split("NSpid:")[1].splitlines()[0].split()[-1] == "1":
                    self._init = int(child)
                    state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
                    return state in {"running", "degraded"}
        return False

    def shut_down(self) -> None:
        """Have it shut down in order."""
        if self._nspawn is None:
            return
        if self._nspawn.poll() is None:
            self._nspawn.terminate()  # it passes this on as systemd's signal to power off
            try:
                self._nspawn.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._nspawn.pid, signal.SIGKILL)  # PID 1 and all inside die with it
                self._nspawn.wait(PATIENCE_S)
        self._nspawn, self._init = None, 0

    def close(self) -> None:
        """End it, with everything that was written inside."""
        self.shut_down()
        self._mounts.close()

    def write(self, path: str, text: str) -> None:
        """Write a file of the system, before it is up or after."""
        file = self._disk / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def inside(self, path: str) -> Path:
        """Return the way to a file as the running system has it."""
        return Path(f"/proc/{self._init}/root") / path.lstrip("/")

    def run(
        self, *command: str, user: str = "root", check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as one of its users; with `check`, it must end well."""
        # Never outside, where its number may be another process's by now.
        assert self._init
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, "the container is gone"
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        home = "/root" if user == "root" else f"/home/{user}"
        seen = {"PATH": PATH, "HOME": home, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(TOP)}
        seen |= {"LD_LIBRARY_PATH": DRIVER, VARIABLE: f"{DRIVER}/cards"} | variables
        done = subprocess.run(
            ["nsenter", "--target", str(self._init), "--all", "--", "env", "-i"]
            + [f"{name}={value}" for name, value in seen.items()]
            + [*become, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        said = f"{' '.join(command)}: {done.stdout}{done.stderr}"
        assert not check or done.returncode == 0, f"{said}\n{self.journal()}"
        return done

    def rigpanel(
        self, *arguments: str, user: str = "root", check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run this checkout's command line inside."""
        command = [sys.executable, "-m", "rigpanel", *arguments]
        return self.run(*command, user=user, check=check, **variables)

    def journal(self) -> str:
        """Return what the unit has said last."""
        command = ["journalctl", "--no-pager", "--lines=40", "--unit=rigpanel-fand"]
        return self.run(*command, check=False).stdout

    def shows(self, what: str, unit: str = UNIT) -> str:
        """Return one of a unit's properties."""
        return self.run("systemctl", "show", "--value", f"--property={what}", unit).stdout.strip()

    @property
    def pid(self) -> int:
        """The helper's process, as this machine numbers it; 0 where none runs."""
        inner = self.shows("MainPID")
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                numbers = (process / "status").read_text().split("NSpid:")[1].splitlines()[0]
                inits = (process / "ns/pid").readlink() == Path(
                    f"/proc/{self._init}/ns/pid"
                ).readlink()
                if inits and inner != "0" and numbers.split()[-1] == inner:
                    return int(process.name)
        return 0

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Ask the helper, as root."""
        with HelperClient(str(self.inside("/run/rigpanel/fand.sock"))) as client:
            return client.ask(verb, **fields)

    def answers(self) -> bool:
        """Whether a helper serves."""
        try:
            self.ask("ping")
        except NotRunningError:
            return False
        return True

    def ask_as(self, user: str, verb: str, fields: dict[str, Any], archive: str = "") -> str:
        """Ask as another user, with the installed helper's own client; how it went."""
        library = archive or f"/{(Places().library / ARCHIVE).relative_to('/')}"
        arguments = [library, verb, json.dumps(fields)]
        return self.run(
            system_python(), "-IS", "-c", AS_CLIENT, *arguments, user=user
        ).stdout.strip()

    def set_curve(self, *, persist: bool = True) -> None:
        """Have the first card's fans follow a curve, and wait until they do."""
        self.ask("set_curve", gpu=self.rig.uuid(0), curve=CURVE, persist=persist)
        self.wait_held()

    def wait_held(self) -> None:
        """Wait until the first card's fans are held, and the second card's are not."""
        held = [(0, 0), (0, 1)]
        until(lambda: self.rig.manual_fans == held, "the curve is followed")


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """Boot a system and throw it away after; raises CannotBootError."""
    system = Booted(folder)
    try:
        yield system
    finally:
        system.close()
