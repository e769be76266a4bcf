# SPDX-License-Identifier: MIT
"""What a reply took: context, energy and the line under it, measured or left out."""

import dataclasses
import time

import pytest
from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QApplication

from rigpanel.engine.messages import (
    ContextNearlyFull,
    FinishReason,
    ReplyStats,
    TurnsDropped,
)
from rigpanel.ui.panes.chat.figures import stats_line
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import STATS, snapshot, tick, until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


def test_a_rate_of_a_token_or_two_is_not_told() -> None:
    cached = dataclasses.replace(STATS, n_cached=STATS.n_prompt - 1, pp_tps=4.0)
    assert "read at" not in stats_line(cached, 8192)
    assert "read at 812 tokens/s" in stats_line(STATS, 8192)


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


def test_the_context_in_use_is_that_of_the_branch_that_is_shown(
    chat: Chat, qapp: QApplication
) -> None:
    async def scenario(chat: Chat) -> None:
        meter = chat.pane.head.meter
        chat.engine.make_ready()
        await chat.ask("one")
        await chat.answer("first", dataclasses.replace(STATS, n_prompt=3000, n_gen=100))
        chat.last.again_requested.emit(chat.last.said.key)
        await until(lambda: len(chat.engine.requests) == 2, "the engine was asked again")
        await chat.answer("second", dataclasses.replace(STATS, n_prompt=3000, n_gen=700))
        assert meter.text == "3.7k / 8.2k"
        chat.pane.session.choose(chat.last.said.key, -1)
        assert meter.text == "3.1k / 8.2k"
        await chat.ask("two")
        chat.pane.new_chat()
        await until(lambda: not chat.pane.session.replying, "the reply was stopped")
        assert meter.text == "0 / 8.2k"

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
