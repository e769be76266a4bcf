# SPDX-License-Identifier: MIT
"""Reading a chat: it follows the end, a selection lasts, code and links do as they should."""

import dataclasses

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QTextBrowser

from rigpanel.engine.messages import (
    ChatMessage,
    TextGenerated,
)
from rigpanel.ui.theme import LIGHT
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import STATS, until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


def test_it_follows_the_end_only_while_the_reader_is_there(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        transcript = chat.pane.transcript
        bar = transcript.verticalScrollBar()
        chat.engine.make_ready()
        await chat.ask("why")
        for _ in range(60):
            chat.engine.events.put_nowait(TextGenerated("a line\n\n", 1))
        await until(lambda: bar.maximum() > 500 and bar.value() == bar.maximum(), "it followed")
        assert not transcript.jump_button.isVisible()
        bar.setValue(100)
        high = bar.maximum()
        for _ in range(40):
            chat.engine.events.put_nowait(TextGenerated("another line\n\n", 1))
        await until(lambda: bar.maximum() > high, "more came")
        assert bar.value() == 100
        assert transcript.jump_button.isVisible()
        await chat.answer("end")
        assert bar.value() == 100
        transcript.jump_button.click()
        assert bar.value() == bar.maximum()
        assert not transcript.jump_button.isVisible()

    run(chat, qapp, scenario)


def test_a_selection_outlasts_the_stream_and_what_comes_is_shown_all_the_same(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        await chat.stream("A paragraph.\n\nThe **last")
        laid_out = "A paragraph.\nThe **last"
        await until(lambda: chat.reply == laid_out, "the text was laid out")
        browser = chat.last.browser
        select(browser, 2, 20)
        chosen = browser.textCursor().selectedText()
        await chat.stream("** one grows")
        await until(lambda: "one grows" in chat.reply, "the text was shown")
        assert browser.textCursor().selectedText() == chosen
        await chat.answer(" and ends.")
        assert browser.textCursor().selectedText() == chosen
        browser.copy()
        assert QGuiApplication.clipboard().text().startswith("paragraph.\nThe")
        cursor = browser.textCursor()
        cursor.clearSelection()
        browser.setTextCursor(cursor)
        whole = "A paragraph.\nThe last one grows and ends."
        await until(lambda: chat.reply == whole, "the rest was laid out")

    run(chat, qapp, scenario)


def select(browser: QTextBrowser, begin: int, end: int) -> None:
    cursor = browser.textCursor()
    cursor.setPosition(begin)
    cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
    browser.setTextCursor(cursor)


def test_code_is_copied_by_its_button_and_out_of_a_selection(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        code = "def f():\n    return '𝄞'  # ü"
        await chat.answer(f"Before.\n\n```python\n{code}\n```\n\nAfter.")
        browser = chat.last.browser
        assert "python" in chat.reply
        assert browser.places("Copy") == [], "what stands above code is not part of the text"
        at = browser.cursorRect(browser.document().find("Copy")).center()
        at.setX(at.x() - 8)
        QTest.mouseClick(browser.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert QGuiApplication.clipboard().text() == code
        browser.selectAll()
        browser.copy()
        assert QGuiApplication.clipboard().text() == f"Before.\n{code}\nAfter."

    run(chat, qapp, scenario)


def test_only_web_links_are_opened(
    chat: Chat, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))

    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        await chat.answer("[a](https://example.org/x) [b](file:///etc/passwd) [c](javascript:1)")
        hrefs = anchors(chat.last.browser)
        assert hrefs == ["https://example.org/x"]
        for target in (*hrefs, "file:///etc/passwd", "ftp://example.org"):
            chat.last.browser.anchorClicked.emit(QUrl(target))
        assert opened == ["https://example.org/x"]

    run(chat, qapp, scenario)


def anchors(browser: QTextBrowser) -> list[str]:
    found = []
    block = browser.document().begin()
    while block.isValid():
        fragments = block.begin()
        while not fragments.atEnd():
            href = fragments.fragment().charFormat().anchorHref()
            if href:
                found.append(href)
            fragments += 1
        block = block.next()
    return found


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
        chat.last.copy()
        assert code in QGuiApplication.clipboard().text()
        chat.pane.set_theme(LIGHT)
        assert "print('<b>')" in chat.reply

    run(chat, qapp, scenario)


def test_thoughts_are_folded_and_counted_apart(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        await chat.stream("Because of *heat*.", reasoning=True)
        fold = chat.last.fold
        assert fold is not None
        assert "Thinking" in fold.text()
        assert chat.last.thoughts is not None
        assert not chat.last.thoughts.isVisible()
        await chat.answer("It is warm.", dataclasses.replace(STATS, n_reasoning=7))
        assert fold.text().endswith("s · 7 tokens")
        assert chat.reply == "It is warm."
        fold.click()
        assert chat.last.thoughts.isVisible()
        assert chat.last.thoughts.toPlainText() == "Because of heat."
        assert (await chat.saved()).path()[-1].reasoning == "Because of *heat*."
        await chat.ask("and")
        assert chat.engine.requests[-1].messages[1] == ChatMessage("assistant", "It is warm.")

    run(chat, qapp, scenario)
