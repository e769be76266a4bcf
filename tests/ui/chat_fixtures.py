# SPDX-License-Identifier: MIT
"""A chat pane on an engine that does as the test says, with a real file to keep things in."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rigpanel.chat.conversation import Conversation
from rigpanel.chat.presets import PresetStore
from rigpanel.chat.store import ConversationStore
from rigpanel.engine.messages import ReplyFinished, ReplyStats, TextGenerated
from rigpanel.engine.sampling import PRESETS
from rigpanel.storage import Storage
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.chat.message_view import MessageView
from rigpanel.ui.panes.chat.pane import ChatPane
from rigpanel.ui.panes.chat.shelf import Shelf
from rigpanel.ui.theme import DARK
from tests.ui.window_fixtures import STATS, ScriptedEngine, play, until


class Chat:
    """One pane and everything around it."""

    def __init__(self, home: Path) -> None:
        self._panes: list[ChatPane] = []
        self.storage = Storage(home / "chat.sqlite3", busy_timeout_s=0.2)
        self.store = ConversationStore(self.storage)
        self.shelf = Shelf(self.store, PresetStore(self.storage, PRESETS))
        self.engine = ScriptedEngine()
        self.bridge = EngineBridge(self.engine)
        self.watch = WatchBridge()
        self.pane = self.open_pane()

    def open_pane(self) -> ChatPane:
        """Open a pane as a start of the panel does."""
        pane = ChatPane(self.bridge, self.watch, DARK, self.shelf)
        self._panes.append(pane)
        pane.resize(520, 600)
        pane.show()
        return pane

    def close(self) -> None:
        """End the file's thread, and with it everything of Qt's."""
        assert self.storage.close(10.0)
        for pane in self._panes:
            pane.close()
            pane.deleteLater()
        self.bridge.deleteLater()
        self.watch.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def write(self, text: str) -> None:
        QTest.keyClicks(self.pane.composer, text)

    def press(self, key: Qt.Key) -> None:
        QTest.keyClick(self.pane.composer, key)

    async def ask(self, text: str) -> None:
        asked = len(self.engine.requests)
        self.write(text)
        self.press(Qt.Key.Key_Return)
        await until(lambda: len(self.engine.requests) > asked, "the engine was asked")

    async def stream(self, text: str, *, reasoning: bool = False) -> None:
        """Let the engine say more, and wait until it is shown."""
        self.engine.events.put_nowait(TextGenerated(text, 1, reasoning))
        said = self.pane.session.talk.path()[-1]
        whole = (said.reasoning if reasoning else said.text) + text
        await until(
            lambda: (said.reasoning if reasoning else said.text) == whole, "the text has come"
        )

    async def answer(self, text: str, stats: ReplyStats = STATS) -> None:
        """Let the engine say the rest, and wait for the figures."""
        self.engine.events.put_nowait(TextGenerated(text, 1))
        self.engine.events.put_nowait(ReplyFinished(stats))
        await until(lambda: not self.pane.session.replying, "the figures came")

    async def turn(self, asked: str, answered: str) -> None:
        await self.ask(asked)
        await self.answer(answered)

    async def saved(self) -> Conversation:
        """Wait until the disk has it all, and return what it has."""
        await until(lambda: self.pane.saved, "everything was written")
        stored = self.pane.session.talk.stored
        assert stored is not None
        return await asyncio.wrap_future(self.store.open(stored))

    @property
    def last(self) -> MessageView:
        return self.pane.views[-1]

    @property
    def reply(self) -> str:
        return self.last.shown_text()

    @property
    def note(self) -> str:
        return self.last.note


Scenario = Callable[[Chat], Coroutine[Any, Any, None]]


def run(chat: Chat, qapp: QApplication, scenario: Scenario) -> None:
    """Run a scenario on Qt's loop, then end the engine."""

    async def whole() -> None:
        try:
            await scenario(chat)
        finally:
            chat.bridge.cancel()  # what a scenario leaves under way
            await chat.bridge.shutdown()

    play(qapp, whole())
