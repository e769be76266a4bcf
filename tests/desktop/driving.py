# SPDX-License-Identifier: MIT
"""What a person does with the panel in a real session: start it, load a model, write, read."""

import subprocess
import sys
from pathlib import Path

from rigpanel.library.demo_model import DemoShape
from tests.desktop.session import DesktopSession, children_of, wait_for
from tests.fakes.nvml import FakeRig

PANEL = [sys.executable, "-m", "rigpanel"]
SLOW_ENOUGH = DemoShape(n_embd=768, n_layer=8, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=4096)
"""A model that takes some seconds for a reply, so that it is seen to stream."""


def start(
    desktop: DesktopSession, *arguments: str, rig: FakeRig | None = None
) -> "subprocess.Popen[bytes]":
    """Start the panel and give its window the keyboard."""
    env = {} if rig is None else rig.env()
    names: tuple[str, ...] = ("RIGPANEL_FAKE_NVML", "LD_LIBRARY_PATH")
    shown = {name: env[name] for name in names if name in env}
    process = desktop.start([*PANEL, *arguments], shown)
    desktop.activate()
    return process


def load(desktop: DesktopSession, panel: "subprocess.Popen[bytes]", model: Path) -> None:
    """Choose a model's file and load it."""
    desktop.key("ctrl+o")
    wait_for("the file dialog", lambda: desktop.run("xdotool", "search", "--name", "Choose a mod"))
    desktop.type(str(model))
    desktop.key("Return")
    desktop.activate()

    def loads() -> set[int]:
        desktop.key("ctrl+Return")
        return children_of(panel.pid)

    wait_for("the engine to start", loads)


def ask(desktop: DesktopSession, question: str) -> str:
    """Write a question, send it and return the first of the reply that is seen."""
    desktop.key("ctrl+l")
    desktop.type(question)
    before = reply(desktop)

    def first_text() -> str:
        desktop.key("Return")
        now = reply(desktop)
        return "" if now == before else now

    return wait_for("streamed text", first_text, 30)


def more(desktop: DesktopSession, than: str) -> str:
    """Return the reply once it has grown."""

    def grown() -> str:
        now = reply(desktop)
        return now if now.startswith(than) and len(now) > len(than) else ""

    return wait_for("more of the reply, while it streams", grown, 30)


def reply(desktop: DesktopSession) -> str:
    """Return the last reply, as far as it has come."""
    desktop.key("ctrl+shift+c")
    return desktop.clipboard()
