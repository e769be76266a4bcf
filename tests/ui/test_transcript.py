# SPDX-License-Identifier: MIT
"""Long conversations: what is laid out, what stays where it is, what is found."""

import asyncio
import itertools

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rigpanel.ui.panes.chat.talk import Talk
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")
COUNT = 2000


class LayoutRequests(QObject):
    """Counts how often what it watches is laid out."""

    count = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        self.count += event.type() == QEvent.Type.LayoutRequest
        return super().eventFilter(watched, event)


def long_talk(count: int = COUNT) -> Talk:
    talk = Talk()
    for number in range(count):
        role = "assistant" if number % 2 else "user"
        lines = "\n\n".join(f"line {line} of {number}" for line in range(number % 7 + 1))
        talk.add(talk.leaf, role, f"**{lines}**" if number % 2 else lines)
    return talk


@pytest.fixture(autouse=True)
def _long_conversation(chat: Chat) -> None:
    chat.pane.session._show(long_talk())


def top_words(chat: Chat) -> tuple[str, int]:
    """Return the text of the first message in view and how far down it begins."""
    for view in chat.pane.views:
        bottom = view.y() + view.height()
        if bottom > 0:
            return view.said.text, view.y()
    raise AssertionError("there is nothing in view")


def test_only_what_is_near_the_view_is_laid_out(chat: Chat) -> None:
    views = chat.pane.views
    assert 2 <= len(views) < 40
    assert views[-1].said.text == chat.pane.session.talk.path()[-1].text
    bar = chat.pane.transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()
    last = views[-1]
    assert 0 < last.y() + last.height() <= chat.pane.transcript.viewport().height()


def test_scrolling_by_wheel_moves_what_is_seen_by_as_much_and_jumps_nowhere(chat: Chat) -> None:
    transcript = chat.pane.transcript
    for _ in range(40):
        before = {view.said.key: view.y() for view in chat.pane.views}
        at = QPointF(transcript.viewport().rect().center())
        QApplication.sendEvent(
            transcript.viewport(),
            QWheelEvent(
                at,
                transcript.viewport().mapToGlobal(at),
                QPoint(),
                QPoint(0, 120),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            ),
        )
        moved = {v.y() - before[v.said.key] for v in chat.pane.views if v.said.key in before}
        assert len(moved) == 1
        assert 20 < moved.pop() < 300
    assert len(chat.pane.views) < 60


def test_keys_reach_beginning_end_and_pages(chat: Chat) -> None:
    transcript = chat.pane.transcript
    transcript.setFocus()
    QTest.keyClick(transcript, Qt.Key.Key_Home)
    assert top_words(chat)[0] == "line 0 of 0"
    QTest.keyClick(transcript, Qt.Key.Key_PageDown)
    assert transcript.verticalScrollBar().value() > 300
    QTest.keyClick(transcript, Qt.Key.Key_End)
    assert chat.pane.views[-1].said.text.endswith(f"of {COUNT - 1}**")
    assert transcript.at_end


def test_a_view_is_filled_from_the_end_bit_by_bit(chat: Chat, qtbot: QtBot) -> None:
    transcript = chat.pane.transcript
    chat.pane.session._show(long_talk())
    assert [view.said.key for view in chat.pane.views] == [COUNT]
    qtbot.waitUntil(lambda: transcript.settled)
    assert chat.pane.views[0].y() <= 12
    last = chat.pane.views[-1]
    assert last.y() + last.height() <= transcript.viewport().height()


def test_it_comes_to_rest(chat: Chat, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: chat.pane.transcript.settled)
    seen = LayoutRequests()
    for view in chat.pane.views:
        view.installEventFilter(seen)
    for _ in range(20):  # what showing them has brought about
        QApplication.processEvents()
    seen.count = 0
    for _ in range(20):
        QApplication.processEvents()
    assert seen.count == 0


def test_the_bar_leads_anywhere_and_what_is_seen_fills_the_view(chat: Chat, qtbot: QtBot) -> None:
    transcript = chat.pane.transcript
    bar = transcript.verticalScrollBar()
    for share in (0.5, 0.1, 0.9, 0.33):
        bar.setValue(round(bar.maximum() * share))
        qtbot.waitUntil(lambda: transcript.settled)
        views = [view for view in chat.pane.views if abs(view.y()) < 3000]
        assert views[0].y() <= 12
        assert views[-1].y() + views[-1].height() >= transcript.viewport().height() - 12
        for above, below in itertools.pairwise(views):
            assert below.y() == above.y() + above.height() + 12


def test_another_width_keeps_what_is_read(chat: Chat, qtbot: QtBot) -> None:
    transcript = chat.pane.transcript
    transcript.verticalScrollBar().setValue(20_000)
    text, y = top_words(chat)
    chat.pane.resize(360, 600)
    qtbot.waitUntil(lambda: transcript.width() < 400)
    assert top_words(chat) == (text, y)


def test_text_is_found_in_messages_that_are_not_laid_out(chat: Chat) -> None:
    chat.pane.open_find()
    bar = chat.pane.find_bar
    assert bar.line.hasFocus()
    QTest.keyClicks(bar.line, "LINE 6 of 13")
    # 13 and all from 130 to 139 and 1300 to 1399 that have seven lines
    count = sum(f"line 6 of {number}".startswith("line 6 of 13") for number in range(6, COUNT, 7))
    assert bar.count.text() == f"{count} of {count}"
    QTest.keyClick(bar.line, Qt.Key.Key_Return)
    assert bar.count.text() == f"1 of {count}"
    shown = [view for view in chat.pane.views if "line 6 of 13" in view.shown_text()]
    assert len(shown) == 1
    (mark,) = shown[0].browser.extraSelections()
    assert mark.cursor.selectedText() == "line 6 of 13"
    rect = shown[0].browser.cursorRect(mark.cursor)
    y = shown[0].y() + shown[0].browser.y() + rect.y()
    assert 0 <= y <= chat.pane.transcript.viewport().height()
    QTest.keyClick(bar.line, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert bar.count.text() == f"{count} of {count}"
    QTest.keyClicks(bar.line, "xyz")
    assert bar.count.text() == "None"
    QTest.keyClick(bar.line, Qt.Key.Key_Escape)
    assert not bar.isVisible()
    assert chat.pane.composer.hasFocus()


def test_only_the_text_is_found_not_what_stands_around_it(chat: Chat) -> None:
    talk = Talk()
    talk.add(None, "user", "Copy that")
    code = "```copy\ncopy = 1\n```"
    talk.add(talk.leaf, "assistant", f"[copy](https://copy.example) and\n\n{code}\n\na `copy`")
    chat.pane.session._show(talk)
    chat.pane.open_find()
    bar = chat.pane.find_bar
    QTest.keyClicks(bar.line, "copy")
    assert bar.count.text() == "4 of 4"
    browser = chat.pane.views[-1].browser
    marked = browser.extraSelections()
    assert [mark.cursor.selectedText() for mark in marked] == ["copy"] * 3
    grounds = [mark.format.background().color().name() for mark in marked]
    assert grounds[0] == grounds[1] != grounds[2], "the last is where the reader is"


def test_a_long_conversation_comes_back_from_the_disk(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        made = await asyncio.wrap_future(chat.store.create("Long", "Be brief."))
        parent = made.leaf
        for number in range(60):
            role = "assistant" if number % 2 else "user"
            added = chat.store.add(made.info.id, parent, role, f"message {number}")
            parent = (await asyncio.wrap_future(added)).id
        chat.pane.session.open(made.info.id)
        await until(lambda: chat.pane.session.talk.title == "Long", "it was opened")
        assert chat.pane.session.talk.system == "Be brief."
        assert chat.reply == "message 59"
        chat.engine.make_ready()
        await chat.ask("and now")
        roles = [turn.role for turn in chat.engine.requests[0].messages]
        assert roles[:2] == ["system", "user"]
        assert len(roles) == 62

    run(chat, qapp, scenario)
