# SPDX-License-Identifier: MIT
"""The drawer of conversations, what the disk keeps, and how the chat comes back."""

import asyncio
import json
import sqlite3
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from rigpanel.engine.messages import EngineState, TextGenerated, WhenFull
from rigpanel.engine.sampling import PRESETS
from rigpanel.storage import StorageError
from rigpanel.ui.panes.chat import keeper
from rigpanel.ui.panes.chat.conversations import ConversationList
from rigpanel.ui.panes.chat.options import ChatOptions
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import until, words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


def titles(drawer: ConversationList) -> list[str]:
    return [drawer.list.item(row).text() for row in range(drawer.list.count())]


async def open_drawer(chat: Chat, *expected: str) -> ConversationList:
    chat.pane.drawers.toggle_list()
    (drawer,) = chat.pane.findChildren(ConversationList)
    await until(lambda: titles(drawer) == list(expected), "the list was read")
    return drawer


async def one_in_drawer(chat: Chat) -> ConversationList:
    """Have a conversation, and choose it in the drawer."""
    chat.engine.make_ready()
    await chat.turn("About fans", "They turn.")
    await chat.saved()
    drawer = await open_drawer(chat, "About fans")
    drawer.list.setFocus()
    drawer.list.setCurrentRow(0)
    return drawer


def test_conversations_are_listed_searched_opened_and_gone_on_with(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("About fans", "They turn.")
        await chat.saved()
        chat.pane.new_chat()
        await chat.turn("About watts", "They add up.")
        await chat.saved()
        drawer = await open_drawer(chat, "About watts", "About fans")
        assert drawer.search.hasFocus()
        QTest.keyClicks(drawer.search, "turn")
        await until(lambda: titles(drawer) == ["About fans"], "it was found by its text")
        drawer.list.setFocus()
        drawer.list.setCurrentRow(0)
        QTest.keyClick(drawer.list, Qt.Key.Key_Return)
        await until(lambda: chat.pane.session.talk.title == "About fans", "it was opened")
        assert chat.reply == "They turn."
        assert chat.pane.composer.isVisible()
        await chat.ask("more")
        assert [turn.content for turn in chat.engine.requests[-1].messages] == [
            "About fans", "They turn.", "more",
        ]  # fmt: skip

    run(chat, qapp, scenario)


def test_a_deleted_conversation_comes_back(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        drawer = await one_in_drawer(chat)
        QTest.keyClick(drawer.list, Qt.Key.Key_Delete)
        await until(lambda: titles(drawer) == [], "it is gone")
        assert "Deleted." in words_in(drawer)
        assert chat.pane.session.talk.said == {}
        drawer.undo_button.click()
        await until(lambda: titles(drawer) == ["About fans"], "it is back")
        assert not drawer.undo_button.isVisible()

    run(chat, qapp, scenario)


def test_it_is_renamed_in_the_list_and_above_the_chat(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        drawer = await one_in_drawer(chat)
        drawer.rename_current()
        (line,) = drawer.list.viewport().findChildren(QLineEdit)
        line.setText("Fans and ducts")
        QTest.keyClick(line, Qt.Key.Key_Return)
        await until(lambda: titles(drawer) == ["Fans and ducts"], "the list says so")
        chat.pane.drawers.toggle_list()
        assert "Fans and ducts" in words_in(chat.pane.head)
        QTest.keyClick(chat.pane.composer, Qt.Key.Key_F2)
        focused = QApplication.focusWidget()
        assert isinstance(focused, QLineEdit)
        focused.setText("Ducts")
        QTest.keyClick(focused, Qt.Key.Key_Return)
        assert (await chat.saved()).info.title == "Ducts"
        assert chat.pane.composer.hasFocus()
        QTest.keyClick(chat.pane.composer, Qt.Key.Key_F2)
        QTest.keyClicks(focused, "Never mind")
        QTest.keyClick(focused, Qt.Key.Key_Escape)
        assert chat.pane.composer.hasFocus()
        assert "Ducts" in words_in(chat.pane.head)
        assert (await chat.saved()).info.title == "Ducts"

    run(chat, qapp, scenario)


def test_the_list_stays_as_it_is_used_while_a_reply_is_kept(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("About fans", "They turn.")
        chat.pane.new_chat()
        await chat.turn("About watts", "They add up.")
        await chat.saved()
        drawer = await open_drawer(chat, "About watts", "About fans")
        drawer.list.setFocus()
        drawer.list.setCurrentRow(1)
        read: list[int] = []
        drawer.list.model().rowsInserted.connect(lambda *_: read.append(drawer.list.count()))
        drawer.refresh()
        await until(lambda: len(read) == 2, "the list was read again")
        assert drawer.list.currentItem().text() == "About fans"
        QTest.keyClick(drawer.list, Qt.Key.Key_F2)
        (line,) = drawer.list.viewport().findChildren(QLineEdit)
        drawer.refresh()
        await asyncio.wrap_future(chat.store.list())
        line.setText("Fans and ducts")
        QTest.keyClick(line, Qt.Key.Key_Return)
        await until(lambda: "Fans and ducts" in titles(drawer), "it was renamed")
        await until(lambda: drawer.list.currentItem() is not None, "one is chosen")
        assert drawer.list.currentItem().text() == "Fans and ducts"

    run(chat, qapp, scenario)


def test_it_is_exported_and_imported(chat: Chat, qapp: QApplication, tmp_path: Path) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("About fans", "They **turn**.")
        kept = await chat.saved()
        drawer = await open_drawer(chat, "About fans")
        text, plain = tmp_path / "a.md", tmp_path / "a.json"
        drawer.export(kept.info.id, text)
        drawer.export(kept.info.id, plain)
        await until(lambda: plain.exists() and text.exists(), "both were written")
        assert "They **turn**." in text.read_text()
        assert json.loads(plain.read_text())
        drawer.import_file(plain)
        await until(lambda: len(titles(drawer)) == 2, "there are two")
        drawer.import_file(text)
        await until(lambda: bool(drawer.told.text()), "that is no JSON")
        assert len(titles(drawer)) == 2
        drawer.export(kept.info.id, plain / "x.md")
        await until(lambda: "cannot be written" in drawer.told.text(), "it was told")
        drawer.import_file(tmp_path / "missing.json")
        await until(lambda: "missing.json cannot be read" in drawer.told.text(), "it was told")

    run(chat, qapp, scenario)


def test_what_streams_is_on_disk_before_the_reply_ends(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        await chat.stream("Because ")
        kept = await chat.saved()
        assert kept.path()[-1].text == "Because "
        assert not kept.path()[-1].finished
        await chat.stream("it is ")
        assert (await chat.saved()).path()[-1].text == "Because it is "
        await chat.answer("warm.")
        last = (await chat.saved()).path()[-1]
        assert (last.text, last.finished) == ("Because it is warm.", True)
        assert last.record is not None
        assert last.record.stats.n_gen == 342

    run(chat, qapp, scenario)


def test_a_full_disk_is_told_once_and_nothing_is_lost(
    chat: Chat, qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own test really fills a disk; here it says so, as it would then."""
    monkeypatch.setattr(keeper, "RETRY_MS", 50)

    async def scenario(chat: Chat) -> None:
        chat.pane = chat.open_pane()
        chat.engine.make_ready()
        await chat.turn("one", "first")
        await chat.saved()
        full = True
        submit = chat.storage.submit

        def refusing(work: Any) -> Future[Any]:
            if not full:
                return submit(work)
            future: Future[Any] = Future()
            future.set_exception(StorageError("The disk is full. Make room."))
            return future

        monkeypatch.setattr(chat.storage, "submit", refusing)
        await chat.turn("two", "second")
        await until(chat.pane.foot.disk.isVisible, "it was told")
        assert "The disk is full." in chat.pane.foot.disk.text()
        await chat.turn("three", "third")
        assert chat.reply == "third"
        full = False
        await until(lambda: not chat.pane.foot.disk.isVisible(), "it works again")
        assert [message.text for message in (await chat.saved()).path()] == [
            "one", "first", "two", "second", "three", "third",
        ]  # fmt: skip

    run(chat, qapp, scenario)


def test_conversation_draft_and_choices_are_there_at_the_next_start(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("one", "first")
        chat.pane.session.set_system("Be brief.")
        chat.pane.drawers.toggle_options()
        (drawer,) = chat.pane.findChildren(ChatOptions)
        drawer.when_full.setCurrentIndex(1)
        drawer.preset.setCurrentText("creative")
        drawer.preset.activated.emit(2)
        chat.pane.drawers.toggle_options()
        chat.write("half a tho")
        await chat.saved()
        chat.pane.keep_now()
        again = chat.open_pane()
        await until(lambda: bool(again.session.talk.said), "the conversation was read")
        assert again.views[-1].shown_text() == "first"
        assert again.composer.toPlainText() == "half a tho"
        assert again.session.talk.system == "Be brief."
        assert again.session.when_full is WhenFull.DROP_OLDEST
        assert again.session.sampling == PRESETS["creative"]

    run(chat, qapp, scenario)


def test_a_reply_cut_off_by_the_panels_end_says_so(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        chat.engine.events.put_nowait(TextGenerated("Because", 1))
        await until(lambda: chat.reply == "Because", "text streamed in")
        await chat.saved()
        chat.pane.keep_now()
        again = chat.open_pane()
        await until(lambda: bool(again.session.talk.said), "the conversation was read")
        assert again.views[-1].shown_text() == "Because"
        assert "rigpanel was ended" in again.views[-1].note

    run(chat, qapp, scenario)


def test_what_is_begun_while_one_is_read_from_the_disk_is_not_taken_away(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("one", "first")
        await chat.saved()
        chat.pane.keep_now()
        again = chat.open_pane()
        again.new_chat()
        again.composer.setPlainText("two")
        again.send()
        await until(lambda: len(chat.engine.requests) == 2, "the engine was asked")
        await asyncio.wrap_future(chat.store.list())  # by now the other has been read
        await asyncio.sleep(0.05)
        assert [said.text for said in again.session.talk.path()] == ["two", ""]
        chat.pane = again
        await chat.answer("second")

    run(chat, qapp, scenario)


def test_leaving_a_conversation_while_a_reply_comes_keeps_it_whole(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("one")
        await chat.stream("Half")
        await chat.saved()
        left = chat.pane.session.talk.stored
        assert left is not None
        chat.pane.new_chat()
        await until(lambda: chat.engine.status.state is EngineState.READY, "it stopped")
        await chat.turn("two", "second")
        await until(lambda: chat.pane.saved, "everything was written")
        kept = await asyncio.wrap_future(chat.store.open(left))
        last = kept.path()[-1]
        assert (last.text, last.finished) == ("Half", True)
        chat.pane.session.open(left)
        await until(lambda: chat.reply == "Half", "it is shown again")
        assert chat.note.startswith("Stopped")

    run(chat, qapp, scenario)


def test_a_file_of_nonsense_for_draft_and_choices_does_no_harm(chat: Chat) -> None:
    path = chat.pane._kept_path
    for text in ("", "[]", "{", '{"draft": 3}', '{"sampling": {"top_k": "x"}}', "\ud800"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert chat.open_pane().composer.toPlainText() == ""


def test_the_file_is_an_ordinary_one(chat: Chat, qapp: QApplication, tmp_path: Path) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.turn("one", "first")
        await chat.saved()

    run(chat, qapp, scenario)
    with sqlite3.connect(tmp_path / "chat.sqlite3") as file:
        assert file.execute("SELECT count(*) FROM message").fetchone() == (2,)
    file.close()
