# SPDX-License-Identifier: MIT
"""The chat pane and the engine: streaming, stopping, a template to choose, an engine that dies."""

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from rigpanel.engine.messages import (
    ChatMessage,
    EngineError,
    EngineState,
    EngineStatus,
    PrefillProgressed,
    TextGenerated,
)
from rigpanel.fit.load_settings import LoadSettings
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


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
        trouble = chat.pane.problem
        trouble.fold.click()
        details = trouble.details.toPlainText()
        assert trouble.details.isVisible()
        assert "model = /models/70b.gguf" in details
        assert "n_ctx = 4096" in details
        assert "last line" in details
        trouble.copy_button.click()
        assert "signal 11" in QGuiApplication.clipboard().text()
        assert "last line" in QGuiApplication.clipboard().text()
        kept = (await chat.saved()).path()[-1]
        assert (kept.text, kept.finished) == ("Because", True)
        assert "engine is gone" in kept.note
        trouble.reload_button.click()
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
        assert chat.pane.session.talk.said == {}
        assert chat.pane.empty_title.isVisible()
        await chat.ask("what")
        assert chat.engine.requests[-1].messages == (ChatMessage("user", "what"),)
        await chat.answer("this")
        assert chat.reply == "this"

    run(chat, qapp, scenario)


def test_a_model_without_a_template_asks_for_one_and_loads_with_it(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        assert not chat.pane.foot.no_template.isVisible()
        model = chat.engine.status.model
        assert model is not None
        bare = dataclasses.replace(model, template="")
        chat.engine.put(EngineStatus(EngineState.READY, bare))
        frame = chat.pane.foot.no_template
        assert frame.isVisible()
        chat.pane.foot.template.setCurrentText("gemma")
        (reload,) = frame.findChildren(QPushButton)
        reload.click()
        await until(lambda: bool(chat.engine.loads), "it was loaded again")
        assert chat.engine.loads[0].chat_template == "gemma"
        assert chat.engine.loads[0].model == model.settings.model
        chat.engine.progress.put_nowait(1.0)
        await until(lambda: not frame.isVisible(), "it has one now")

    run(chat, qapp, scenario)


def test_a_load_the_engine_died_in_is_tried_again(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        settings = LoadSettings(Path("/models/8b.gguf"), n_ctx=512)
        died = EngineStatus(EngineState.STOPPED, None, "Out of memory.", ("last",), settings)
        chat.engine.put(died)
        assert "n_ctx = 512" in chat.pane.problem.details.toPlainText()
        chat.pane.problem.reload_button.click()
        await until(lambda: chat.engine.loads == [settings], "it was loaded again")
        chat.engine.progress.put_nowait(1.0)
        await until(lambda: not chat.pane.problem.isVisible(), "the trouble was over")

    run(chat, qapp, scenario)
