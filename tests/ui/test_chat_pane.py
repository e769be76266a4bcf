# SPDX-License-Identifier: MIT
"""The chat pane: streaming, stopping, the figures under a reply, and an engine that dies."""

import dataclasses
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QObject, QPointF, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QDropEvent, QGuiApplication, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton, QTextBrowser, QWidget
from pytestqt.qtbot import QtBot

from rigpanel.engine.messages import (
    ChatMessage,
    ContextNearlyFull,
    EngineError,
    EngineState,
    EngineStatus,
    FinishReason,
    PrefillProgressed,
    ReplyFinished,
    ReplyStats,
    TextGenerated,
    TurnsDropped,
)
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.panes.chat.figures import stats_line
from rigpanel.ui.theme import LIGHT
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import STATS, snapshot, tick, until, words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


class Painted(QObject):
    """Counts how often what it watches is drawn."""

    count = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        self.count += event.type() == QEvent.Type.Paint
        return super().eventFilter(watched, event)


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
        (place,) = browser.places("Copy")
        at = browser.cursorRect(place).center()
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


def test_the_context_is_shown_warms_and_tells_what_was_left_out(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        meter = chat.pane.head.meter
        assert not meter.isVisible()
        chat.engine.make_ready()
        assert (meter.text, meter.state) == ("0 / 8.2k", "ok")
        await chat.ask("why")
        chat.engine.events.put_nowait(TurnsDropped(4))
        chat.engine.events.put_nowait(ContextNearlyFull(7400, 8192))
        await chat.answer("So.", dataclasses.replace(STATS, n_prompt=7400, n_gen=400))
        assert "oldest 4 messages were left out" in chat.note
        assert "nearly full: 7400 of 8192" in chat.note
        assert (meter.text, meter.state) == ("7.8k / 8.2k", "warm")
        assert "7800 of 8192" in meter.toolTip()

    run(chat, qapp, scenario)


def test_energy_of_each_card_is_measured_over_the_reply(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        asked: list[float] = []

        class Rig(QObject):
            """Answers each wish for a reading, as the sampler does."""

            joules = 100.0

            @Slot()
            def read(self) -> None:
                asked.append(time.monotonic())
                cards = snapshot(2)
                gpus = tuple(
                    dataclasses.replace(card, energy_j=self.joules * (card.index + 1))
                    for card in cards.cards
                )
                rig = dataclasses.replace(cards, gpus=gpus, simulated=False)
                chat.watch.on_tick(tick(rig, at_s=time.monotonic()))

        rig = Rig()
        chat.watch.reading_wanted.connect(rig.read)
        chat.engine.make_ready()
        await chat.ask("why")
        rig.joules = 200.0
        await chat.answer("So.")
        assert len(asked) == 2
        each = (100 + 200) / STATS.n_gen
        assert chat.note.endswith(f" · {each:.2f} J/token")
        assert "GPU 0 · RTX 3090: 100 J\nGPU 1 · RTX 3090: 200 J" in chat.last.note_tip
        record = (await chat.saved()).path()[-1].record
        assert record is not None
        assert record.energy_j == 300.0

    run(chat, qapp, scenario)


def test_energy_that_is_not_known_is_left_out_with_the_reason(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        await chat.ask("why")
        real = dataclasses.replace(snapshot(2), simulated=False)
        chat.watch.on_tick(tick(real, at_s=time.monotonic()))
        await chat.answer("So.")
        chat.watch.on_tick(tick(real, at_s=time.monotonic() + 3))
        await until(lambda: "took" in chat.last.note_tip, "the reason was told")
        assert "J/token" not in chat.note
        assert chat.last.note_tip.startswith("No energy: the cards were read over 3.")
        await chat.ask("and")
        chat.watch.on_tick(tick(snapshot(2), at_s=time.monotonic()))
        await chat.answer("Then.")
        chat.watch.on_tick(tick(snapshot(2), at_s=time.monotonic()))
        await until(lambda: "simulated" in chat.last.note_tip, "the reason was told")
        assert "J/token" not in chat.note

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
        assert chat.pane.foot.attachments == []

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


@pytest.mark.parametrize(
    ("reason", "n_ctx", "words"),
    [
        (FinishReason.LENGTH, 2390, "Cut: the context is full · "),
        (FinishReason.LENGTH, 8192, "Cut at its limit of tokens · "),
        (FinishReason.CANCELLED, 8192, "Stopped · "),
        (FinishReason.STOP, 8192, "342 tokens · "),
    ],
)
def test_the_figures_say_why_a_reply_ended(reason: FinishReason, n_ctx: int, words: str) -> None:
    stats = ReplyStats(reason, 2048, 512, 342, 1.92, 812.4, 16.42, 1.89, 20.8)
    assert stats_line(stats, n_ctx).startswith(words)


def test_a_rate_that_could_not_be_measured_is_left_out() -> None:
    stats = ReplyStats(FinishReason.CANCELLED, 100, 0, 0, None, None, None, 0.1, 0.0)
    assert stats_line(stats, 4096) == "Stopped · 0 tokens · prompt 100 tokens"


def test_one_token_is_not_some_tokens() -> None:
    stats = ReplyStats(FinishReason.CANCELLED, 100, 0, 1, None, None, None, 0.1, 0.0)
    assert stats_line(stats, 4096) == "Stopped · 1 token · prompt 100 tokens"


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
