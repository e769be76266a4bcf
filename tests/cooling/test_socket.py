# SPDX-License-Identifier: MIT
"""The socket under those who mean ill or know no better: others get their answers all the same."""

import contextlib
import errno
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.cooling import client
from rigpanel.cooling.authority import Authority, Peer
from rigpanel.cooling.client import HelperClient, HelperError
from rigpanel.cooling.loop import CoolingLoop
from rigpanel.cooling.server import Server
from rigpanel.cooling.service import CoolingService
from rigpanel.rig.simulated import UUIDS as SIMULATED
from rigpanel.rig.simulated_control import SimulatedControl
from tests.cooling.conftest import Start
from tests.cooling.helper_process import (
    CURVE,
    TOP,
    RunningHelper,
    let_everyone_through,
    raw_socket,
    until,
)
from tests.fakes.nvml import FakeRig

NOBODY = 65534
A_TICK_S = 1.0
GROWS_BELOW_KIB = 5 * 1024


def resident_kib(pid: int) -> int:
    words = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(words[0])


def answer(connection: socket.socket) -> dict[str, object]:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(4096)
        assert part, "let go of without an answer"
        received += part
    told: dict[str, object] = json.loads(received)
    return told


REFUSED = [
    (b"garbage", "no JSON"),
    (b"\xff\xfe\x00", "no JSON"),
    (b"[" * 7000, "no JSON"),
    (b"[1]", "must be a JSON object"),
    (b'{"verb":"status"}', "speaks version 1"),
    (b'{"v":2,"verb":"status"}', "speaks version 1"),
    (b'{"v":true,"verb":"status"}', "speaks version 1"),
    (b'{"v":1,"verb":"reboot"}', "not known"),
    (b'{"v":1,"verb":["status"]}', "not known"),
    (b'{"v":1,"verb":"auto","gpu":7}', "must be a card's UUID"),
    (b'{"v":1,"verb":"auto","gpu":"GPU-none"}', "There is no card GPU-none"),
    (b'{"v":1,"verb":"set_curve","gpu":"%s","curve":{"points":[[40,NaN],[60,50]]}}', "no JSON"),
    (b'{"v":1,"verb":"set_curve","gpu":"%s","curve":{"points":[[60,30],[40,50]]}}', "in order"),
    (b'{"v":1,"verb":"set_curve","gpu":"%s","curve":{"points":[[4,1e999],[60,50]]}}', "number"),
    (b'{"v":1,"verb":"set_curve","gpu":"%s","fan":9,"curve":{"points":[[4,9],[6,9]]}}', "fan 9"),
    (b'{"v":1,"verb":"set_curve","gpu":"%s","persist":1}', "points"),
    (b'{"v":1,"verb":"set_power_limit","gpu":"%s","limit_w":"all"}', "must be a number"),
    (b'{"v":1,"verb":"set_power_limit","gpu":"%s","limit_w":4000}', "from 100 to 400 W"),
    (b'{"v":1,"verb":"confirm","gpu":"%s"}', "no change to confirm"),
]
"""Lines and what they are told; %s stands for a card's UUID."""


def test_each_wrong_line_is_told_what_is_wrong_and_the_next_one_answered(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    with raw_socket(helper.socket) as connection:
        for line, said in REFUSED:
            connection.sendall(line.replace(b"%s", fake_nvml.uuid(0).encode()) + b"\n")
            told = answer(connection)
            assert (told["ok"], said in str(told["error"])) == (False, True), (line, told)
        connection.sendall(b'{"v":1,"id":"x","verb":"ping"}\n')
        assert answer(connection)["id"] == "x"
    assert fake_nvml.manual_fans == []


@pytest.mark.parametrize(("said", "told"), [(b"[" * 100_000 + b"\n", "no JSON"), (b" ", "answer")])
def test_whoever_answers_wrongly_or_never_to_an_end_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, told: str
) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.5)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "fand.sock"))
        listener.listen()

        def drip() -> None:
            with contextlib.suppress(ConnectionError), listener.accept()[0] as connection:
                while True:
                    connection.sendall(said)
                    time.sleep(0.05)

        dripping = threading.Thread(target=drip)
        dripping.start()
        with (
            HelperClient(str(tmp_path / "fand.sock")) as asking,
            pytest.raises(HelperError, match=told),
        ):
            asking.ask("status")
        dripping.join()


def test_a_flood_keeps_nobody_waiting(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    helper.set_curve(0)
    child = helper.child
    before_kib = resident_kib(child)
    chance = random.Random(5)  # noqa: S311 - no secrets
    crowd: list[socket.socket] = []
    slowest_s = 0.0
    lines = [line for line, _ in REFUSED]
    for number in range(200):
        connection = raw_socket(helper.socket)
        connection.setblocking(False)
        crowd.append(connection)
        kind = number % 5
        try:
            if kind == 0:
                connection.send(chance.randbytes(20_000))
            elif kind == 1:
                connection.send(b"a" * 10_000_000)
            elif kind == 2:
                connection.send(b'{"v":1,"verb":"sta')  # and never the rest
            elif kind == 3:
                connection.send(b'{"v":1,"verb":"status"}\n' * 2000)  # and never listens
            else:
                connection.send(b"\n".join(chance.choices(lines, k=50)) + b"\n")
        except (BlockingIOError, ConnectionError):
            pass
        if number % 10 == 0:
            begun = time.monotonic()
            helper.ask("ping")
            slowest_s = max(slowest_s, time.monotonic() - begun)
    fake_nvml.card(0).temperature_c = 75
    took_s = until(lambda: fake_nvml.card(0).fans[0].duty_pct == 80, "the curve is followed")
    grown_kib = resident_kib(child) - before_kib
    print(
        f"slowest answer {slowest_s:.3f} s, the fan followed after {took_s:.2f} s, "
        f"grown by {grown_kib} KiB"
    )
    for connection in crowd:
        connection.close()
    assert grown_kib < GROWS_BELOW_KIB
    assert helper.child == child
    assert helper.card(0)["fans"][0]["held_by"] == "curve"
    assert slowest_s < A_TICK_S


def test_more_clients_than_there_is_room_for(helper: RunningHelper) -> None:
    crowd = [raw_socket(helper.socket) for _ in range(400)]
    assert helper.ask("ping")["ok"] is True
    for connection in crowd:
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_crowd_of_one_users_pushes_out_nobody_else(helper: RunningHelper) -> None:
    let_everyone_through(helper.socket.parent)
    with helper.connect() as mine:
        mine.ask("ping")
        crowd = "crowd = [HelperClient(sys.argv[1]) for _ in range(400)]"
        assert as_nobody(helper, crowd, "print(len(crowd))") == "400\n"
        assert mine.ask("ping")["ok"] is True


class Hasty:
    """A server in this process by whose clock each look at it takes nearly a second."""

    def __init__(self, path: Path, ticks: int) -> None:
        self.now = 0.0
        self.left = ticks
        loop = CoolingLoop(SimulatedControl(), self.clock, self.clock)
        self.service = CoolingService(loop, None, self.clock)
        self.server = Server(path, self.service, Authority(), self.alive, clock=self.clock)
        self.server.open()
        self.service.start()

    def clock(self) -> float:
        self.now += 0.9
        return self.now

    def alive(self) -> None:
        self.now += 6.0
        self.left -= 1
        if self.left == 0:
            self.server.stop()


def test_half_a_line_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    hasty = Hasty(tmp_path / "fand.sock", 5)
    with raw_socket(tmp_path / "fand.sock") as half, raw_socket(tmp_path / "fand.sock") as whole:
        half.sendall(b'{"v":1,')
        whole.sendall(b'{"v":1,"verb":"ping"}\n')
        hasty.server.run()
        assert answer(whole)["ok"] is True
        assert half.recv(99) == b""
    hasty.server.close()


def test_a_lease_ends_with_silence(tmp_path: Path) -> None:
    hasty = Hasty(tmp_path / "fand.sock", 6)
    uuid = hasty.service.loop.control.read()[0].uuid
    order = {"v": 1, "verb": "set_curve", "gpu": uuid, "curve": CURVE, "lease": True}
    with raw_socket(tmp_path / "fand.sock") as panel:
        panel.sendall(json.dumps(order).encode() + b"\n")
        hasty.server.run()
        assert answer(panel)["ok"] is True
        assert hasty.service.loop.curves(uuid) == {}
        assert "is gone" in hasty.service.loop.events[-1].sentence
    hasty.server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("word", "allowed"), [("true", True), ("false", False)])
def test_polkit_is_asked_about_a_user_without_the_right(
    word: str, allowed: bool, tmp_path: Path
) -> None:
    with served_with_polkit(tmp_path, word) as uuid:
        order = f"tell('set_curve', gpu={uuid!r}, curve={CURVE!r})"
        said = as_nobody_at(tmp_path / "fand.sock", order, order).splitlines()
    assert [line.split()[0] for line in said] == [
        "True" if allowed else "NoPermissionError" for _ in range(2)
    ]
    questions = (tmp_path / "asked").read_text().splitlines()
    assert len(questions) == (1 if allowed else 2)  # who was let once is not asked about again
    assert "--action-id io.github.rigpanel.fand.set" in questions[0]
    assert questions[0].endswith(f",{NOBODY}")


class Strict(Authority):
    """Lets nobody set whom polkit has not been asked about, root included."""

    def may_set(self, peer: Peer) -> bool:  # noqa: ARG002
        return False


class SlowQuestion:
    """A server in a thread, by a clock of the test's, whose polkit says yes when it is let."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.ticks = 0
        self.folder = folder
        self.pkcheck = folder / "pkcheck"
        self.pkcheck.write_text(
            f"#!/bin/sh\necho >> {folder}/asked\nwhile ! [ -e {folder}/yes ]; do sleep 0.02; done\n"
        )
        self.pkcheck.chmod(0o755)
        loop = CoolingLoop(SimulatedControl(), self.clock, self.clock)
        self.service = CoolingService(loop, None, self.clock)
        authority = Strict(pkcheck=self.pkcheck)
        self.socket = folder / "fand.sock"
        self.server = Server(self.socket, self.service, authority, self.alive, clock=self.clock)
        self.server.open()
        self.service.start()
        self.serving = threading.Thread(target=self.server.run)

    def clock(self) -> float:
        return self.now

    def alive(self) -> None:
        self.ticks += 1
        self.now += 0.01

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the helper tick in it."""
        self.now += seconds
        ticks = self.ticks
        self.wake()
        until(lambda: self.ticks > ticks, "it ticks")

    def wake(self) -> None:
        raw_socket(self.socket).close()

    @property
    def questions(self) -> int:
        asked = self.folder / "asked"
        return len(asked.read_text().splitlines()) if asked.exists() else 0


@pytest.fixture
def slow_question(tmp_path: Path) -> Iterator[SlowQuestion]:
    slow = SlowQuestion(tmp_path)
    slow.serving.start()
    yield slow
    slow.server.stop()
    slow.wake()
    slow.serving.join(20)
    slow.server.close()


def test_a_lease_does_not_end_over_the_time_a_password_took(slow_question: SlowQuestion) -> None:
    order = {"v": 1, "verb": "set_curve", "gpu": SIMULATED[0], "curve": CURVE, "lease": True}
    with raw_socket(slow_question.socket) as panel:
        panel.sendall(json.dumps(order).encode() + b"\n")
        until(lambda: slow_question.questions == 1, "polkit is asked")
        slow_question.pass_time(30)
        (slow_question.folder / "yes").touch()
        assert answer(panel)["ok"] is True
        slow_question.pass_time(2)
        assert slow_question.service.loop.curves(SIMULATED[0]) != {}
        panel.sendall(b'{"v":1,"verb":"ping"}\n')
        assert answer(panel)["ok"] is True


def test_a_yes_of_polkits_is_not_good_for_ever(slow_question: SlowQuestion) -> None:
    (slow_question.folder / "yes").touch()
    order = {"v": 1, "verb": "set_curve", "gpu": SIMULATED[0], "curve": CURVE}
    asked = []
    with raw_socket(slow_question.socket) as panel:
        for wait_s in (2, 200, 200):
            slow_question.pass_time(wait_s)
            panel.sendall(json.dumps(order).encode() + b"\n")
            assert answer(panel)["ok"] is True
            asked.append(slow_question.questions)
    assert asked == [1, 1, 2]


def test_a_question_that_cannot_be_waited_for_costs_only_its_answer(
    slow_question: SlowQuestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", no_room)
    order = {"v": 1, "verb": "set_curve", "gpu": SIMULATED[0], "curve": CURVE}
    with raw_socket(slow_question.socket) as panel:
        panel.sendall(json.dumps(order).encode() + b"\n")
        assert answer(panel)["code"] == "no_permission"
        panel.sendall(b'{"v":1,"verb":"ping"}\n')
        assert answer(panel)["ok"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_one_user_cannot_take_every_question_to_polkit(tmp_path: Path) -> None:
    with served_with_polkit(tmp_path, "exec sleep 60") as uuid:
        said = as_nobody_at(
            tmp_path / "fand.sock",
            "from rigpanel.cooling.protocol import as_line",
            f"order = {{'gpu': {uuid!r}, 'curve': {CURVE!r}}}",
            "others = [HelperClient(sys.argv[1]) for _ in range(2)]",
            "for other in others: other.ask('ping')",  # each is taken in before any asks for more
            "for other in others: other._socket.sendall(as_line({'verb': 'set_curve', **order}))",
            "tell('ping'); tell('set_curve', **order)",
        )
    assert [line.split()[0] for line in said.splitlines()] == ["True", "NoPermissionError"]


@contextlib.contextmanager
def served_with_polkit(folder: Path, word: str) -> Iterator[str]:
    """Serve with a pkcheck that notes what it is asked and runs `word`; yields a card's UUID."""
    pkcheck = folder / "pkcheck"
    pkcheck.write_text(f'#!/bin/sh\necho "$@" >> {folder / "asked"}\n{word}\n')
    pkcheck.chmod(0o755)
    service = CoolingService(CoolingLoop(SimulatedControl()), None)
    server = Server(folder / "fand.sock", service, Authority(pkcheck=pkcheck), lambda: None)
    server.open()
    service.start()
    let_everyone_through(folder)
    serving = threading.Thread(target=server.run)
    serving.start()
    try:
        yield service.loop.vitals[0].uuid if service.loop.vitals else SIMULATED[0]
    finally:
        server.stop()
        serving.join(20)
        server.close()


def as_nobody(helper: RunningHelper, *lines: str) -> str:
    return as_nobody_at(helper.socket, *lines)


def as_nobody_at(path: Path, *lines: str) -> str:
    """Run lines as a user who is nobody, `client` being the connection; return what was printed."""
    script = [
        "import os, sys",
        "from rigpanel.cooling.client import HelperClient, HelperError",
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})",
        "client = HelperClient(sys.argv[1])",
        "def tell(*words, **fields):",
        "    try: print(client.ask(*words, **fields)['ok'])",
        "    except HelperError as error: print(type(error).__name__, error)",
        *lines,
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script), str(path)],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_user_without_the_right_reads_and_hands_back_and_sets_nothing(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    let_everyone_through(helper.socket.parent)
    helper.set_curve(0)
    orders = len(fake_nvml.orders)
    card = fake_nvml.uuid(0)
    said = as_nobody(
        helper,
        "tell('status')",
        f"tell('set_curve', gpu={card!r}, curve={CURVE!r})",
        f"tell('set_power_limit', gpu={card!r}, limit_w=200)",
        f"tell('reset_power_limits', gpu={card!r})",
        f"tell('confirm', gpu={card!r})",
        f"tell('revert', gpu={card!r})",
        "tell('suspend')",
        "tell('resume')",
    ).splitlines()
    assert said[0] == "True"
    assert [line.split()[0] for line in said[1:]] == ["NoPermissionError"] * 7
    assert "usermod -aG rigpanel" in said[1]
    assert len(fake_nvml.orders) == orders
    assert fake_nvml.manual_fans == [(0, 0), (0, 1)]
    assert as_nobody(helper, "tell('auto')") == "True\n"
    assert fake_nvml.manual_fans == []


def test_the_sessions_owner_may_set(start_helper: Start, fake_nvml: FakeRig) -> None:
    helper = start_helper("--session-of", str(NOBODY))
    let_everyone_through(helper.socket.parent)
    card = fake_nvml.uuid(0)
    assert as_nobody(helper, f"tell('set_curve', gpu={card!r}, curve={CURVE!r})") == "True\n"
    assert fake_nvml.manual_fans == [(0, 0), (0, 1)]


def test_a_helper_that_cannot_set_says_so(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    fake_nvml.state.setters_allowed = 0
    with pytest.raises(HelperError, match="must run as root"):
        helper.set_curve(0)
    assert helper.card(0)["curves"] == {}
    with pytest.raises(HelperError, match="must run as root"):
        helper.ask("set_power_limit", gpu=fake_nvml.uuid(0), limit_w=200)
