# SPDX-License-Identifier: MIT
"""One instance: a later start is heard, two at once are told apart, a crash leaves no trace."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from rigpanel import paths
from rigpanel.cli.panel import raise_running
from rigpanel.ui.instance import InstanceServer
from tests.ui.conftest import Run


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def server(qapp: QApplication) -> Iterator[InstanceServer]:
    made = InstanceServer()
    assert made.listen()
    yield made
    made.close()


def ask(run: Run, server: InstanceServer, pane: str | None) -> tuple[bool, list[str]]:
    asked: list[str] = []
    server.show_requested.connect(asked.append)
    answers: list[bool] = []

    async def work() -> None:
        with ThreadPoolExecutor(1) as pool:
            answer = asyncio.wrap_future(pool.submit(raise_running, pane))
            answers.append(await answer)

    run(work())
    return answers[0], asked


def test_a_later_start_is_heard_with_its_pane(run: Run, server: InstanceServer) -> None:
    assert ask(run, server, "alerts") == (True, ["alerts"])


def test_a_later_start_without_a_pane_asks_for_none(run: Run, server: InstanceServer) -> None:
    assert ask(run, server, None) == (True, [""])


def test_nobody_answers_where_nobody_runs() -> None:
    assert raise_running(None) is False


def test_of_two_starts_at_once_one_is_first(server: InstanceServer) -> None:
    assert not InstanceServer().listen()


def test_the_next_start_may_listen_when_the_first_has_ended(server: InstanceServer) -> None:
    server.close()
    assert not paths.instance_socket().exists()
    again = InstanceServer()
    assert again.listen()
    again.close()


def test_a_socket_left_by_a_crash_is_swept_away(run: Run, qapp: QApplication) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(paths.instance_socket()))
    left.close()
    assert raise_running(None) is False
    server = InstanceServer()
    assert server.listen()
    assert ask(run, server, "rig") == (True, ["rig"])
    server.close()


@pytest.mark.parametrize("noise", [b"\xff\xfe\n", b"[]\n", b"x" * 9000])
def test_noise_on_the_socket_raises_nothing(run: Run, server: InstanceServer, noise: bytes) -> None:
    asked: list[str] = []
    server.show_requested.connect(asked.append)

    def make_noise() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(paths.instance_socket()))
            client.sendall(noise)
            try:
                return client.recv(64)
            except ConnectionResetError:
                return b""

    async def work() -> None:
        with ThreadPoolExecutor(1) as pool:
            assert await asyncio.wrap_future(pool.submit(make_noise)) == b""

    run(work())
    assert asked == []
    assert threading.active_count() == 1
