# SPDX-License-Identifier: MIT
"""Guesses are what followed the same tokens last."""

from rigpanel.engine.lookup import PromptLookup


def test_the_last_time_and_the_longest_run_decide() -> None:
    lookup = PromptLookup()
    lookup.add([1, 2, 3, 4, 9, 2, 3, 5, 7, 1, 2])
    assert lookup.guess(2) == [3, 4]
    lookup.add([3])
    assert lookup.guess(8) == [4, 9, 2, 3, 5, 7, 1, 2][:8]
    lookup.add([8])
    assert lookup.guess(8) == []


def test_a_short_text_gives_no_guess() -> None:
    lookup = PromptLookup()
    assert lookup.guess(4) == []
    lookup.add([1])
    assert lookup.guess(4) == []
