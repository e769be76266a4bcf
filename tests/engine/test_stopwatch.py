# SPDX-License-Identifier: MIT
"""The figures of a reply, by arithmetic on times that are known."""

import pytest

from rigpanel.engine.messages import FinishReason
from rigpanel.engine.stopwatch import ReplyStopwatch


class Clock:
    """Seconds, as told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_rates_are_of_what_was_decoded_in_its_own_time() -> None:
    clock = Clock()
    watch = ReplyStopwatch(clock)
    clock.now_s += 0.5  # The template and the tokenizer.
    watch.begins_to_read(n_prompt=90, n_cached=30)
    clock.now_s += 2.0
    watch.has_read()
    for _ in range(5):
        clock.now_s += 0.25
        watch.took_token()
    clock.now_s += 0.1
    stats = watch.stats(FinishReason.LENGTH)
    assert (stats.n_prompt, stats.n_cached, stats.n_gen) == (90, 30, 5)
    assert stats.ttft_s == pytest.approx(0.5 + 2.0 + 0.25)
    assert stats.pp_tps == pytest.approx((90 - 30) / 2.0)
    assert stats.tg_tps == pytest.approx(1 / 0.25)
    assert stats.prefill_s == pytest.approx(2.0)
    assert stats.decode_s == pytest.approx(5 * 0.25 + 0.1)


def test_a_reply_stopped_while_its_prompt_is_read_has_no_rates() -> None:
    clock = Clock()
    watch = ReplyStopwatch(clock)
    watch.begins_to_read(n_prompt=90, n_cached=0)
    clock.now_s += 1.5
    stats = watch.stats(FinishReason.CANCELLED)
    assert (stats.ttft_s, stats.pp_tps, stats.tg_tps) == (None, None, None)
    assert stats.prefill_s == pytest.approx(1.5)
    assert stats.decode_s == 0.0


def test_one_token_has_no_rate() -> None:
    clock = Clock()
    watch = ReplyStopwatch(clock)
    watch.begins_to_read(n_prompt=9, n_cached=0)
    clock.now_s += 1.0
    watch.has_read()
    watch.took_token()
    stats = watch.stats(FinishReason.STOP)
    assert stats.ttft_s == pytest.approx(1.0)
    assert (stats.n_gen, stats.tg_tps) == (1, None)
