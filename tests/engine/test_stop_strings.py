# SPDX-License-Identifier: MIT
"""A reply ends before a stop string, and no part of one is ever shown."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine.stop_strings import StopStrings

SHORT = st.text("ab<", max_size=20)


def cut(text: str, at: list[int]) -> list[str]:
    places = sorted({0, len(text), *(place % (len(text) + 1) for place in at)})
    return [text[a:b] for a, b in pairwise(places)]


@given(SHORT, st.lists(st.integers(0, 20)), st.lists(st.text("ab<", min_size=1, max_size=4)))
def test_however_it_is_cut_the_text_ends_before_the_first(
    text: str, at: list[int], stops: list[str]
) -> None:
    whole = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    first = min(whole)[1] if whole else len(text)
    filtered = StopStrings(tuple(stops))
    shown = ""
    for piece in cut(text, at):
        shown += filtered.feed(piece)
        assert text[:first].startswith(shown)  # Nothing flashes that is taken back.
    assert filtered.found == bool(whole)
    assert shown + filtered.flush() == text[:first]


def test_only_what_may_become_a_stop_string_is_held_back() -> None:
    filtered = StopStrings(("</end>",))
    assert filtered.feed("warm <") == "warm "
    assert filtered.feed("/en") == ""
    assert filtered.feed("ough") == "</enough"
    assert filtered.feed("<</end>tail") == "<"
    assert filtered.found
    assert (filtered.feed("more"), filtered.flush()) == ("", "")
