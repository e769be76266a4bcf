# SPDX-License-Identifier: MIT
"""`rigpanel lend-devices`: what it says, how it ends, and what it refuses."""

import fcntl
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.engine.rpc_peer import greet
from tests.engine.lenders import Lender, lending

KEEPALIVE_TIMER = "02"
"""Of column tr in /proc/net/tcp."""


@pytest.fixture
def lender() -> Iterator[Lender]:
    with lending() as (one,):
        yield one


def connected(lender: Lender) -> socket.socket:
    """Return a connection that has said hello and been answered."""
    host, _, port = lender.address.rpartition(":")
    connection = socket.create_connection((host, int(port)), 10)
    connection.sendall(b"\x0e" + (24).to_bytes(8, "little") + bytes(24))
    assert connection.recv(8) == (28).to_bytes(8, "little")
    return connection


def refused(bind: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rigpanel", "lend-devices", "--bind", bind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return done.returncode, line


@pytest.mark.parametrize(
    ("bind", "ending", "warned"),
    [("127.0.0.1:0", signal.SIGINT, False), ("0.0.0.0:0", signal.SIGTERM, True)],
)
def test_it_says_what_it_lends_warns_and_ends_well(
    bind: str, ending: signal.Signals, warned: bool
) -> None:
    lender = Lender(bind)
    assert not lender.address.endswith(":0")
    assert any(line.startswith("Lends CPU: ") and "MiB free" in line for line in lender.said)
    assert any("1 threads" in line for line in lender.said)
    lender.process.send_signal(ending)
    _, messages = lender.process.communicate(timeout=20)
    assert lender.process.returncode == 0
    assert "no authentication and no encryption" in messages
    assert ("WARNING" in messages) == warned


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, line = refused(f"127.0.0.1:{taken.getsockname()[1]}")
    assert status == 1
    assert "cannot be listened on: Address already in use" in line


def test_a_second_lender_on_the_same_address_is_refused_until_the_first_is_gone(
    lender: Lender,
) -> None:
    with connected(lender):
        status, line = refused(lender.address)
        assert status == 1
        assert "Address already in use" in line
        lender.end()
        second = Lender(lender.address)  # The port lingers with the connection that was.
    second.end()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_while_a_panel_uses_it(lender: Lender, ending: signal.Signals) -> None:
    with connected(lender) as connection:
        lender.process.send_signal(ending)
        assert lender.process.wait(20) == 0
        while connection.recv(64):
            pass


def test_a_name_is_looked_up_and_loopback_is_not_warned_of() -> None:
    lender = Lender("localhost:0")
    greet(lender.address)
    lender.process.terminate()
    _, messages = lender.process.communicate(timeout=20)
    assert lender.address.startswith("127.0.0.1:")
    assert "WARNING" not in messages


def test_a_lender_whose_output_nobody_reads_serves_on(lender: Lender) -> None:
    """It must not wait for a reader: what llama.cpp says of each connection fills any pipe."""
    for pipe in (lender.process.stdout, lender.process.stderr):
        assert pipe is not None
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    host, _, port = lender.address.rpartition(":")
    for _ in range(150):
        greet(lender.address)
        with socket.create_connection((host, int(port)), 10) as rude:
            rude.sendall(b"GET / HTTP/1.0\r\n\r\n")
    greet(lender.address)


def test_a_client_that_says_nothing_is_sent_away(lender: Lender) -> None:
    host, _, port = lender.address.rpartition(":")
    with connected(lender) as panel, socket.create_connection((host, int(port)), 10) as mute:
        panel.close()
        mute.settimeout(30)
        assert mute.recv(1) == b""
    greet(lender.address)


def test_a_panel_whose_machine_is_off_will_be_noticed(lender: Lender) -> None:
    """The system asks over an idle connection; no test waits until it has asked in vain."""
    with connected(lender) as panel:
        ends = [f"0100007F:{end[1]:04X}" for end in (panel.getpeername(), panel.getsockname())]
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        (timer,) = [row[5] for row in rows if row[1:3] == ends]
        assert timer.startswith(KEEPALIVE_TIMER)


@pytest.mark.parametrize(
    ("bind", "status", "says"),
    [
        ("here", 2, "write HOST:PORT"),
        ("127.0.0.1:99999", 2, "at most 65535"),
        ("[::1]:50052", 2, "IPv4 only"),
        ("::1:50052", 2, "IPv4 only"),
        ("no-such-machine.invalid:1", 2, "no machine of that name"),
        ("192.0.2.1:50052", 1, "Cannot assign requested address"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_refused(
    bind: str, status: int, says: str
) -> None:
    told = refused(bind)
    assert told[0] == status
    assert says in told[1]
