# SPDX-License-Identifier: MIT
"""A chat outlives what is ended by force: the panel itself, and the engine."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.chat.conversation import Conversation
from rigpanel.chat.store import ConversationStore
from rigpanel.library.demo_model import write_demo_model
from rigpanel.storage import FILE_NAME, Storage
from tests.desktop.driving import SLOW_ENOUGH, ask, load, more, reply, start
from tests.desktop.session import DesktopSession, alive, children_of, wait_for

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(180)]

SAFE_S = 1.0
"""What is older than this is on disk."""


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[DesktopSession]:
    with DesktopSession(tmp_path / "desktop") as session:
        yield session


def stored(desktop: DesktopSession) -> Conversation:
    (file,) = (desktop.folder / "home").rglob(FILE_NAME)
    storage = Storage(file)
    store = ConversationStore(storage)
    (info,) = store.list().result(10)
    conversation = store.open(info.id).result(10)
    assert storage.close(10.0)
    return conversation


def test_a_panel_killed_in_mid_reply_shows_at_its_next_start_what_had_streamed(
    desktop: DesktopSession, tmp_path: Path
) -> None:
    panel = start(desktop, "--demo")
    load(desktop, panel, write_demo_model(tmp_path / "model.gguf", SLOW_ENOUGH))
    seen = more(desktop, ask(desktop, "How warm are the cards?"))
    time.sleep(SAFE_S)
    below = children_of(panel.pid)
    panel.kill()
    panel.wait()
    wait_for("the engine to end with it", lambda: not alive(below))

    start(desktop, "--demo")
    back = wait_for("the reply", lambda: reply(desktop))
    assert back.startswith(seen)
    question, answer = stored(desktop).path()
    assert question.text == "How warm are the cards?"
    assert answer.text == back
    assert not answer.finished


def test_an_engine_killed_in_mid_reply_is_told_and_loaded_again_at_a_click(
    desktop: DesktopSession, tmp_path: Path
) -> None:
    panel = start(desktop, "--demo")
    load(desktop, panel, write_demo_model(tmp_path / "model.gguf", SLOW_ENOUGH))
    seen = more(desktop, ask(desktop, "How warm are the cards?"))
    (engine,) = children_of(panel.pid)
    os.kill(engine, signal.SIGKILL)
    wait_for("the engine to end", lambda: not alive({engine}))
    assert reply(desktop).startswith(seen)

    def told() -> bool:
        # Before the field for writing: what is told, with Reload, Details, and Copy once unfolded.
        desktop.key("ctrl+l")
        desktop.key("shift+Tab", "space", "Tab", "space")
        return "SIGKILL" in desktop.clipboard()

    wait_for("the reason", told)
    assert f"model = {tmp_path / 'model.gguf'}" in desktop.clipboard()
    desktop.key("shift+Tab", "shift+Tab", "space")
    wait_for("another engine", lambda: children_of(panel.pid) - {engine})
    more(desktop, ask(desktop, "And now?"))
    desktop.key("Escape")
    desktop.activate()
    desktop.key("ctrl+q")
    assert panel.wait(15) == 0
    said = [message.text for message in stored(desktop).path()]
    assert said[0] == "How warm are the cards?"
    assert said[1].startswith(seen)
    assert said[2] == "And now?"
    assert said[3]
