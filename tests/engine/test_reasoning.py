# SPDX-License-Identifier: MIT
"""What a model thinks is told from what it answers, however the text comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine.reasoning import ReasoningSplitter, is_opened_by
from tests.engine.test_stop_strings import cut


def split(pieces: list[str], *, opened: bool = False) -> tuple[str, str]:
    """Return all of the reasoning and all of the answer."""
    splitter = ReasoningSplitter(opened)
    found = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    assert all(text for text, _ in found)
    return (
        "".join(text for text, reasoning in found if reasoning),
        "".join(text for text, reasoning in found if not reasoning),
    )


@pytest.mark.parametrize(
    ("text", "opened", "thought", "answer"),
    [
        ("<think>\nhm, 2 < 3\n</think>\n\nYes.", False, "hm, 2 < 3", "Yes."),
        ("hm</think>Yes.", True, "hm", "Yes."),
        ("\n<think>still", False, "still", ""),
        ("A <think> tag </think> in an answer", False, "", "A <think> tag </think> in an answer"),
        ("  plain", False, "", "  plain"),
        ("<thin", False, "", "<thin"),
        ("<think></think>Yes </think>", False, "", "Yes </think>"),
        ("a </thin", True, "a </thin", ""),
        ("", True, "", ""),
    ],
)
def test_tags_are_no_part_of_either(text: str, opened: bool, thought: str, answer: str) -> None:
    assert split([text], opened=opened) == (thought, answer)
    assert split(list(text), opened=opened) == (thought, answer)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think", ">", " ", "\n", "x"])),
    st.lists(st.integers(0, 60)),
    st.booleans(),
)
def test_it_does_not_matter_how_the_text_is_cut(
    parts: list[str], at: list[int], opened: bool
) -> None:
    text = "".join(parts)
    assert split(cut(text, at), opened=opened) == split([text], opened=opened)


def test_a_prompt_may_begin_the_thinking() -> None:
    assert is_opened_by("<|assistant|>\n<think>\n")
    assert not is_opened_by("<|assistant|>\n<think>\n\n</think>\n\n")
    assert not is_opened_by("<|assistant|>\n")
