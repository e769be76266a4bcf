# SPDX-License-Identifier: MIT
"""Writing a message: the keys, an edit, branches, what is sent along."""

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from rigpanel.engine.messages import (
    ChatMessage,
    EngineState,
    EngineStatus,
    ReplyFinished,
    TextGenerated,
)
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import STATS, until, words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


class Painted(QObject):
    """Counts how often what it watches is drawn."""

    count = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        self.count += event.type() == QEvent.Type.Paint
        return super().eventFilter(watched, event)


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


def test_what_is_sent_before_the_figures_have_come_is_sent_after_them(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("one")
        chat.engine.make_ready()  # it has ended; its last words are still on their way
        chat.write("two")
        chat.press(Qt.Key.Key_Return)
        assert len(chat.engine.requests) == 1
        chat.engine.events.put_nowait(TextGenerated("first", 1))
        chat.engine.events.put_nowait(ReplyFinished(STATS))
        await until(lambda: len(chat.engine.requests) == 2, "the second was sent")
        assert chat.engine.requests[1].messages[-1] == ChatMessage("user", "two")
        assert chat.pane.composer.toPlainText() == ""

    run(chat, qapp, scenario)


def test_an_edited_message_and_a_reply_made_anew_are_branches(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("one", "first")
        await chat.turn("two", "second")
        chat.press(Qt.Key.Key_Up)
        assert chat.pane.composer.toPlainText() == "two"
        chat.write(" and three")
        chat.press(Qt.Key.Key_Return)
        await until(lambda: len(chat.engine.requests) == 3, "the engine was asked")
        assert [turn.content for turn in chat.engine.requests[-1].messages] == [
            "one", "first", "two and three",
        ]  # fmt: skip
        await chat.answer("third")
        asked = chat.pane.views[-2]
        assert "2/2" in words_in(asked)
        chat.last.again_requested.emit(chat.last.said.key)
        await until(lambda: len(chat.engine.requests) == 4, "the engine was asked again")
        await chat.answer("fourth")
        assert chat.reply == "fourth"
        assert "2/2" in words_in(chat.last)
        kept = await chat.saved()
        assert [message.text for message in kept.path()][-1] == "fourth"
        assert len(kept.messages) == 7

    run(chat, qapp, scenario)


def test_an_edit_gives_back_what_was_being_written(
    chat: Chat, qapp: QApplication, tmp_path: Path
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("one", "first")
        notes = tmp_path / "notes.txt"
        notes.write_text("warm")
        drop(chat.pane, [notes])
        await until(lambda: len(chat.pane.foot.attachments) == 1, "it was read")
        chat.write("half a tho")
        chat.pane.edit(chat.pane.views[0].said.key)
        assert chat.pane.composer.toPlainText() == "one"
        assert not chat.pane.foot.attachments
        chat.pane.keep_now()
        assert chat.open_pane().composer.toPlainText() == "half a tho"
        chat.press(Qt.Key.Key_Escape)
        assert chat.pane.composer.toPlainText() == "half a tho"
        assert len(chat.pane.foot.attachments) == 1
        chat.pane.edit(chat.pane.views[0].said.key)
        chat.write(" more")
        chat.press(Qt.Key.Key_Return)
        await until(lambda: len(chat.engine.requests) == 2, "the engine was asked")
        assert chat.engine.requests[-1].messages == (ChatMessage("user", "one more"),)
        assert chat.pane.composer.toPlainText() == "half a tho"

    run(chat, qapp, scenario)


def test_escape_leaves_an_edit_and_a_drawer(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("one", "first")
        chat.press(Qt.Key.Key_Up)
        assert chat.pane.foot.editing.isVisible()
        chat.press(Qt.Key.Key_Escape)
        assert not chat.pane.foot.editing.isVisible()
        assert chat.pane.composer.toPlainText() == ""
        chat.pane.drawers.toggle_options()
        focused = QApplication.focusWidget()
        assert focused is not None
        assert not chat.pane.composer.isVisible()
        QTest.keyClick(focused, Qt.Key.Key_Escape)
        assert chat.pane.composer.isVisible()

    run(chat, qapp, scenario)


def test_text_files_are_sent_along_and_others_refused(
    chat: Chat, qapp: QApplication, tmp_path: Path
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        script, blob = tmp_path / "fan.py", tmp_path / "a.bin"
        script.write_text("print('```')\n")
        blob.write_bytes(b"\x00\xff")
        huge = tmp_path / "log.txt"
        huge.write_text("x" * 2_000_000)
        drop(chat.pane, [script])
        await until(lambda: len(chat.pane.foot.attachments) == 1, "it was read")
        assert "fan.py · 13 characters" in words_in(chat.pane.foot)
        drop(chat.pane, [blob])
        await until(lambda: "a.bin is not text" in words_in(chat.pane.foot), "it was refused")
        drop(chat.pane, [huge])
        await until(lambda: "1024 KiB can be sent" in words_in(chat.pane.foot), "so was this")
        await chat.ask("what is it?")
        assert chat.engine.requests[0].messages[0].content == (
            "fan.py\n````python\nprint('```')\n````\n\nwhat is it?"
        )
        assert chat.pane.foot.attachments == ()

    run(chat, qapp, scenario)


def drop(pane: QWidget, paths: list[Path]) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    pane.dropEvent(event)


def test_a_huge_paste_becomes_an_attachment(chat: Chat, qapp: QApplication) -> None:
    QGuiApplication.clipboard().setText("word " * 200_000)
    chat.pane.composer.paste()
    assert chat.pane.composer.toPlainText() == ""
    assert "Pasted text · 1 000 000 characters" in words_in(chat.pane.foot)
    QGuiApplication.clipboard().setText("a word")
    chat.pane.composer.paste()
    assert chat.pane.composer.toPlainText() == "a word"


def test_the_words_in_an_empty_field_are_drawn_anew(chat: Chat, qtbot: QtBot) -> None:
    chat.pane.grab()  # whatever was to be drawn has been
    viewport = chat.pane.composer.viewport()
    seen = Painted()
    viewport.installEventFilter(seen)
    chat.engine.make_ready()
    assert chat.pane.composer.placeholderText() == "Write a message"
    qtbot.waitUntil(lambda: seen.count > 0)


def test_one_may_write_while_it_loads(chat: Chat) -> None:
    chat.engine.put(EngineStatus(EngineState.LOADING))
    assert "Loading" in chat.pane.empty_title.text()
    assert chat.pane.composer.isEnabled()
