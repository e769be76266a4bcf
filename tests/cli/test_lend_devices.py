# SPDX-License-Identifier: MIT
"""`rigpanel lend-devices`: what it says, how it ends, and what it refuses."""

import signal
import socket
import subprocess
import sys

import pytest

from tests.engine.lenders import Lender


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


@pytest.mark.parametrize(
    ("bind", "status", "says"),
    [
        ("here", 2, "write HOST:PORT"),
        ("127.0.0.1:99999", 2, "at most 65535"),
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
