# SPDX-License-Identifier: MIT
"""The chat pane: streaming, stopping, the figures under a reply, and an engine that dies."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea
from pytestqt.qtbot import QtBot

from rigpanel.engine.messages import (
    ChatMessage,
    EngineError,
    EngineState,
    EngineStatus,
    FinishReason,
    PrefillProgressed,
    ReplyFinished,
    ReplyStats,
    TextGenerated,
)
from rigpanel.ui.bridges import EngineBridge
from rigpanel.ui.panes.chat_pane import ChatPane, stats_line
from rigpanel.ui.theme import DARK, LIGHT
from tests.ui.window_fixtures import STATS, ScriptedEngine, play, until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Chat:
    """A chat pane on an engine that does as the test says."""

    def __init__(self, qtbot: QtBot) -> None:
        self.engine = ScriptedEngine()
        self.bridge = EngineBridge(self.engine)
        self.pane = ChatPane(self.bridge, DARK)
        qtbot.addWidget(self.pane)
        self.pane.resize(520, 600)
        self.pane.show()

    def write(self, text: str) -> None:
        QTest.keyClicks(self.pane.composer, text)

    async def ask(self, text: str) -> None:
        asked = len(self.engine.requests)
        self.write(text)
        QTest.keyClick(self.pane.composer, Qt.Key.Key_Return)
        await until(lambda: len(self.engine.requests) > asked, "the engine was asked")

    async def answer(self, text: str, stats: ReplyStats = STATS) -> None:
        self.engine.events.put_nowait(TextGenerated(text, 1))
        self.engine.events.put_nowait(ReplyFinished(stats))
        await until(lambda: "prompt 2048" in self.note, "the figures came")

    @property
    def reply(self) -> str:
        return self.pane.views[-1].shown_text()

    @property
    def note(self) -> str:
        return self.pane.views[-1].note


Scenario = Callable[[Chat], Coroutine[Any, Any, None]]


@pytest.fixture
def chat(qtbot: QtBot) -> Chat:
    return Chat(qtbot)


def run(chat: Chat, qapp: QApplication, scenario: Scenario) -> None:
    async def whole() -> None:
        await scenario(chat)
        await chat.bridge.shutdown()

    play(qapp, whole())


def test_without_a_model_it_says_what_to_do_and_sends_nothing(chat: Chat) -> None:
    assert "No model is loaded" in chat.pane.empty_title.text()
    assert "Ctrl+O" in chat.pane.empty_hint.text()
    chat.write("hello")
    QTest.keyClick(chat.pane.composer, Qt.Key.Key_Return)
    assert not chat.pane.send_button.isEnabled()
    assert chat.engine.requests == []
    assert chat.pane.composer.toPlainText() == "hello"


def test_a_reply_streams_in_as_markdown_and_ends_with_its_figures(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        chat.engine.events.put_nowait(PrefillProgressed(512, 2048, 128))
        await until(lambda: "512 / 2048" in chat.note, "prefill was shown")
        assert "128 cached" in chat.note
        chat.engine.events.put_nowait(TextGenerated("It is **very", 3))
        await until(lambda: "It is" in chat.reply, "text streamed in")
        assert chat.pane.stop_button.isVisible()
        assert not chat.pane.send_button.isVisible()
        await chat.answer("** warm")
        assert chat.reply == "It is very warm"
        assert chat.note == (
            "342 tokens · 16.4 tokens/s · first token after 1.92 s · "
            "prompt 2048 tokens (512 cached) · read at 812 tokens/s"
        )

    run(chat, qapp, scenario)


def test_the_next_turn_brings_the_conversation_but_not_an_unanswered_question(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("one")
        chat.engine.events.put_nowait(EngineError("The prompt does not fit. Shorten it."))
        await until(lambda: "does not fit" in chat.note, "the failure was shown in place")
        await chat.ask("two")
        await chat.answer("second")
        await chat.ask("three")
        assert chat.engine.requests[-1].messages == (
            ChatMessage("user", "two"),
            ChatMessage("assistant", "second"),
            ChatMessage("user", "three"),
        )
        await chat.answer("third")

    run(chat, qapp, scenario)


def test_escape_stops_and_keeps_what_was_said(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        chat.engine.events.put_nowait(TextGenerated("Half a", 2))
        await until(lambda: "Half a" in chat.reply, "text streamed in")
        QTest.keyClick(chat.pane.composer, Qt.Key.Key_Escape)
        await until(lambda: chat.note.startswith("Stopped"), "it stopped")
        assert chat.reply == "Half a"
        assert chat.pane.send_button.isVisible()

    run(chat, qapp, scenario)


def test_shift_enter_writes_a_second_line(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        low = chat.pane.composer.height()
        chat.write("a")
        QTest.keyClick(chat.pane.composer, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
        chat.write("b")
        assert chat.pane.composer.toPlainText() == "a\nb"
        assert chat.pane.composer.height() > low
        assert chat.engine.requests == []

    run(chat, qapp, scenario)


def test_an_engine_that_dies_says_why_keeps_the_text_and_loads_again(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        chat.bridge.load(chat.engine.status.model.settings)  # type: ignore[union-attr]
        chat.engine.progress.put_nowait(1.0)
        await until(lambda: chat.engine.status.state is EngineState.READY, "it loaded")
        await chat.ask("why")
        chat.engine.events.put_nowait(TextGenerated("Because", 1))
        await until(lambda: "Because" in chat.reply, "text streamed in")
        chat.engine.die("The engine ended on signal 11. Load the model again.")
        await until(lambda: "engine is gone" in chat.note, "the reply says that it was cut off")
        assert chat.reply == "Because"
        assert chat.pane.problem.isVisible()
        chat.pane.reload_button.click()
        await until(lambda: len(chat.engine.loads) == 2, "it was loaded again")
        assert chat.engine.loads[0] == chat.engine.loads[1]
        chat.engine.progress.put_nowait(1.0)
        await until(lambda: not chat.pane.problem.isVisible(), "the trouble was over")

    run(chat, qapp, scenario)


def test_a_new_chat_stops_the_reply_and_forgets(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        chat.pane.new_chat()
        await until(lambda: chat.engine.status.state is EngineState.READY, "it stopped")
        assert chat.pane.views == []
        assert chat.pane.empty_title.isVisible()
        await chat.ask("what")
        assert chat.engine.requests[-1].messages == (ChatMessage("user", "what"),)
        await chat.answer("this")
        assert chat.reply == "this"

    run(chat, qapp, scenario)


def test_it_follows_the_end_only_while_the_reader_is_there(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        (area,) = chat.pane.findChildren(QScrollArea)
        bar = area.verticalScrollBar()
        chat.engine.make_ready()
        await chat.ask("why")
        for _ in range(60):
            chat.engine.events.put_nowait(TextGenerated("a line\n\n", 1))
        await until(lambda: bar.maximum() > 500 and bar.value() == bar.maximum(), "it followed")
        bar.setValue(100)
        high = bar.maximum()
        for _ in range(40):
            chat.engine.events.put_nowait(TextGenerated("another line\n\n", 1))
        await until(lambda: bar.maximum() > high, "more came")
        assert bar.value() == 100
        await chat.answer("end")
        assert bar.value() == 100

    run(chat, qapp, scenario)


def test_a_selection_outlasts_the_stream(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        chat.engine.events.put_nowait(TextGenerated("first words", 2))
        await until(lambda: "first words" in chat.reply, "text streamed in")
        browser = chat.pane.views[-1].browser
        browser.selectAll()
        await chat.answer(" and more")
        assert browser.textCursor().selectedText() == "first words"
        cursor = browser.textCursor()
        cursor.clearSelection()
        browser.setTextCursor(cursor)
        await until(lambda: chat.reply == "first words and more", "the rest was laid out")

    run(chat, qapp, scenario)


def test_html_in_a_reply_is_text_and_code_is_copied_as_written(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        code = "```python\nprint('<b>')\n```"
        await chat.answer(f"<img src='file:///etc/passwd'>\n\n{code}\n\n```nolanguage\n<i>\n```")
        assert "<img src=" in chat.reply
        assert "print('<b>')" in chat.reply
        assert "<i>" in chat.reply
        chat.pane.views[-1].copy()
        assert code in QGuiApplication.clipboard().text()
        chat.pane.set_theme(LIGHT)
        assert "print('<b>')" in chat.reply

    run(chat, qapp, scenario)


@pytest.mark.parametrize(
    ("reason", "n_ctx", "words"),
    [
        (FinishReason.LENGTH, 2390, "Cut: the context is full · "),
        (FinishReason.LENGTH, 8192, "Cut at its limit of tokens · "),
        (FinishReason.CANCELLED, 8192, "Stopped · "),
        (FinishReason.STOP, 8192, "342 tokens"),
    ],
)
def test_the_figures_say_why_a_reply_ended(reason: FinishReason, n_ctx: int, words: str) -> None:
    stats = ReplyStats(reason, 2048, 512, 342, 1.92, 812.4, 16.42, 1.89, 20.8)
    assert stats_line(stats, n_ctx).startswith(words)


def test_a_rate_that_could_not_be_measured_is_left_out() -> None:
    stats = ReplyStats(FinishReason.CANCELLED, 100, 0, 0, None, None, None, 0.1, 0.0)
    assert stats_line(stats, 4096) == "Stopped · 0 tokens · prompt 100 tokens"


def test_one_may_write_while_it_loads(chat: Chat) -> None:
    chat.engine.put(EngineStatus(EngineState.LOADING))
    assert "Loading" in chat.pane.empty_title.text()
    assert chat.pane.composer.isEnabled()
