# SPDX-License-Identifier: MIT
"""The real helper in processes of its own, over the fake driver."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rigpanel.cooling.client import HelperClient, NotRunningError
from tests.fakes.nvml import FakeRig

TOP = Path(__file__).parents[2]
PATIENCE_S = 30.0
CURVE = {"points": [[40, 30], [60, 50], [75, 80], [84, 100]]}


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> float:
    """Wait for a condition and return how many seconds it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < patience_s, f"waited in vain: {what}"
        time.sleep(0.01)
    return time.monotonic() - begun


class RunningHelper:
    """A guard and its helper, as `rigpanel-fand` starts them."""

    def __init__(
        self,
        rig: FakeRig,
        folder: Path,
        *arguments: str,
        variables: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.rig = rig
        self.socket = folder / "fand.sock"
        self.state_dir = folder / "state"
        self.log = folder / "fand.log"
        command = [sys.executable, "-m", "rigpanel.cooling.helper"]
        command += ["--socket", str(self.socket), "--state-dir", str(self.state_dir), *arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=TOP,
                env=rig.env() | {"PYTHONPATH": str(TOP)} | (variables or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=before,  # noqa: PLW1509 - tests of this start no threads
            )

    def ready(self) -> "RunningHelper":
        """Wait until it answers, which it does once every fan was handed back."""
        until(self._answers, "the helper answers")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with self.connect() as client:
                client.ask("ping")
        except NotRunningError:
            return False
        return True

    def connect(self) -> HelperClient:
        return HelperClient(str(self.socket))

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        with self.connect() as client:
            return client.ask(verb, **fields)

    def set_curve(self, card: int, **fields: Any) -> dict[str, Any]:
        return self.ask("set_curve", **{"gpu": self.rig.uuid(card), "curve": CURVE} | fields)

    def card(self, index: int) -> dict[str, Any]:
        """Return what the helper tells of a card."""
        told: dict[str, Any] = self.ask("status")["gpus"][index]
        return told

    @property
    def child(self) -> int:
        """The process that holds the fans; 0 while it is gone."""
        guard = self.process.pid
        children = Path(f"/proc/{guard}/task/{guard}/children")
        words = children.read_text().split() if children.exists() else []
        return int(words[0]) if words else 0

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal both processes at once."""
        os.killpg(self.process.pid, number)

    def end(self) -> int:
        """End it as a service manager does, and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE_S)


def restore_auto(rig: FakeRig, socket: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the hand-back path by itself; without `socket` beside no helper."""
    return run_backwards(rig, "--restore-auto", socket=socket)


def run_backwards(
    rig: FakeRig, *arguments: str, socket: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of the ways back that end at once."""
    nobody = rig.path.with_name("nobody.sock")
    command = [sys.executable, "-m", "rigpanel.cooling.helper", *arguments]
    return subprocess.run(
        [*command, "--socket", str(socket or nobody)],
        cwd=TOP,
        env=rig.env() | {"PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def raw_socket(path: Path) -> socket.socket:
    """Connect without the client, to say what no client would."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_S)
    connection.connect(str(path))
    return connection


@contextlib.contextmanager
def somebody_else(path: Path, line: bytes) -> Iterator[None]:
    """Have somebody who is no helper of this version answer once on its socket, with `line`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(line + b"\n")

        answering = threading.Thread(target=answer)
        answering.start()
        yield
        answering.join(PATIENCE_S)


def let_everyone_through(folder: Path) -> None:
    """Let every user reach a socket below pytest's own folders, which are this user's alone."""
    top = Path(tempfile.gettempdir())
    for part in (folder, *folder.parents):
        if part == top:
            return
        part.chmod(part.stat().st_mode | 0o011)
