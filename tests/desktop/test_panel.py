# SPDX-License-Identifier: MIT
"""The panel as its owner meets it: window, tray, notifications, one instance, quit."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.desktop.session import DesktopSession, alive, children_of, wait_for
from tests.fakes.nvml import FakeRig

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(180)]

PANEL = [sys.executable, "-m", "rigpanel"]
SLOW_ENOUGH = DemoShape(n_embd=768, n_layer=8, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=4096)
"""A model that takes some seconds for a reply, so that it is seen to stream."""


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[DesktopSession]:
    with DesktopSession(tmp_path / "desktop") as session:
        yield session


def start(
    desktop: DesktopSession, *arguments: str, rig: FakeRig | None = None
) -> "subprocess.Popen[bytes]":
    env = {} if rig is None else rig.env()
    names: tuple[str, ...] = ("RIGPANEL_FAKE_NVML", "LD_LIBRARY_PATH")
    shown = {name: env[name] for name in names if name in env}
    process = desktop.start([*PANEL, *arguments], shown)
    desktop.activate()
    return process


def test_from_the_icon_to_the_cards(
    desktop: DesktopSession, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    model = write_demo_model(tmp_path / "model.gguf", SLOW_ENOUGH)
    panel = start(desktop, rig=fake_nvml)
    wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())

    desktop.key("ctrl+o")
    wait_for("the file dialog", lambda: desktop.run("xdotool", "search", "--name", "Choose a mod"))
    desktop.type(str(model))
    desktop.key("Return")
    desktop.activate()

    def loads() -> set[int]:
        desktop.key("ctrl+Return")
        return children_of(panel.pid)

    wait_for("the engine to start", loads)
    desktop.key("ctrl+l")
    desktop.type("How warm are the cards?")

    def first_text() -> str:
        desktop.key("Return")
        desktop.key("ctrl+shift+c")
        return desktop.clipboard()

    early = wait_for("streamed text", first_text, 30)

    def more_text() -> bool:
        desktop.key("ctrl+shift+c")
        now = desktop.clipboard()
        return now.startswith(early) and len(now) > len(early)

    wait_for("more of the reply, while it streams", more_text)
    desktop.key("Escape")

    fake_nvml.card(1).temperature_c = 86
    wait_for(
        "a notification that names card 1",
        lambda: any("GPU 1" in n["summary"] and "too hot" in n["summary"] for n in shown(desktop)),
        5.0 + 3.0,
    )
    assert not any("GPU 0" in n["summary"] for n in shown(desktop))
    fake_nvml.card(1).temperature_c = 80
    wait_for(
        "the alert to clear", lambda: any("cooled down" in n["summary"] for n in shown(desktop))
    )

    below = children_of(panel.pid)
    assert below, "the engine is a process of its own"
    desktop.activate()
    desktop.key("ctrl+q")
    wait_for("the panel to end", lambda: panel.poll() is not None)
    assert panel.returncode == 0
    wait_for("every process to end", lambda: not alive(below))
    assert "StatusNotifierItem" not in desktop.tray_items()


def shown(desktop: DesktopSession) -> list[dict[str, str]]:
    return desktop.notifications()


def test_a_second_start_raises_the_first_window(desktop: DesktopSession) -> None:
    first = start(desktop, "--demo")
    wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())
    desktop.key("alt+F4")
    wait_for("the window to go to the tray", lambda: not desktop.windows())
    second = desktop.start([*PANEL, "--demo"])
    assert second.wait(20) == 0
    wait_for("the first window to come back", desktop.windows)
    assert first.poll() is None
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(15) == 0


def test_without_a_tray_closing_the_window_quits(tmp_path: Path) -> None:
    with DesktopSession(tmp_path / "desktop", tray=False) as desktop:
        panel = start(desktop, "--demo")
        desktop.key("alt+F4")
        wait_for("the panel to end", lambda: panel.poll() is not None)
        assert panel.returncode == 0


def test_a_tray_that_appears_later_gets_the_icon(tmp_path: Path) -> None:
    with DesktopSession(tmp_path / "desktop", tray=False) as desktop:
        panel = start(desktop, "--demo")
        desktop.start_tray()
        wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())
        os.kill(panel.pid, signal.SIGTERM)
        assert panel.wait(15) == 0


def test_a_socket_left_by_a_crash_does_not_stop_the_next_start(desktop: DesktopSession) -> None:
    first = start(desktop, "--demo")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start(desktop, "--demo")
    assert second.poll() is None
    os.kill(second.pid, signal.SIGTERM)
    assert second.wait(15) == 0
