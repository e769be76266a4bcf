# SPDX-License-Identifier: MIT
"""What a model thinks is told from what it answers, however the text comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine.reasoning import TAGS, ReasoningSplitter, ReasoningTags
from tests.engine.test_stop_strings import cut

OPENS = "<|assistant|>\n<think>\n"
"""A prompt that begins the thinking."""


def split(pieces: list[str], prompt: str = "") -> tuple[str, str]:
    """Return all of the reasoning and all of the answer."""
    splitter = ReasoningSplitter(prompt)
    found = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    assert all(text for text, _ in found)
    return (
        "".join(text for text, reasoning in found if reasoning),
        "".join(text for text, reasoning in found if not reasoning),
    )


@pytest.mark.parametrize(
    ("text", "prompt", "thought", "answer"),
    [
        ("<think>\nhm, 2 < 3\n</think>\n\nYes.", "", "hm, 2 < 3", "Yes."),
        ("hm</think>Yes.", OPENS, "hm", "Yes."),
        ("\n<think>still", "", "still", ""),
        ("A <think> tag </think> in an answer", "", "", "A <think> tag </think> in an answer"),
        ("  plain", "", "", "  plain"),
        ("<thin", "", "", "<thin"),
        ("<think></think>Yes </think>", "", "", "Yes </think>"),
        ("a </thin", OPENS, "a </thin", ""),
        ("", OPENS, "", ""),
        ("<seed:think>a</think>b</seed:think>c", "", "a</think>b", "c"),
        ("<|channel>thought\nhm\n<channel|>Yes.", "", "hm", "Yes."),
    ],
)
def test_tags_are_no_part_of_either(text: str, prompt: str, thought: str, answer: str) -> None:
    assert split([text], prompt) == (thought, answer)
    assert split(list(text), prompt) == (thought, answer)


@pytest.mark.parametrize("tags", TAGS, ids=lambda tags: tags.begin)
def test_every_familys_tags_are_known_in_the_reply_and_at_the_prompts_end(
    tags: ReasoningTags,
) -> None:
    assert split([f"{tags.begin}hm{tags.end}Yes."]) == ("hm", "Yes.")
    assert split([f"hm{tags.end}Yes."], f"<|assistant|>{tags.begin}\n") == ("hm", "Yes.")
    assert split(["Yes."], f"<|assistant|>{tags.begin}\n\n{tags.end}\n\n") == ("", "Yes.")


@given(
    st.lists(
        st.sampled_from(
            [
                "<think>",
                "</think>",
                "<",
                "/",
                "think",
                ">",
                " ",
                "\n",
                "x",
                "[",
                "[THINK]",
                "[/THINK]",
            ]
        )
    ),
    st.lists(st.integers(0, 60)),
    st.sampled_from(["", OPENS]),
)
def test_it_does_not_matter_how_the_text_is_cut(
    parts: list[str], at: list[int], prompt: str
) -> None:
    text = "".join(parts)
    assert split(cut(text, at), prompt) == split([text], prompt)


def test_nothing_of_a_tag_is_ever_shown() -> None:
    splitter = ReasoningSplitter()
    shown = [part for letter in "<think>hm</think>Yes" for part in splitter.feed(letter)]
    assert not any("<" in text or "think" in text for text, _ in shown)


def test_it_says_whether_the_model_thinks_now() -> None:
    assert not ReasoningSplitter("<|assistant|>\n").thinking
    splitter = ReasoningSplitter(OPENS)
    assert splitter.thinking
    splitter.feed("hm</think>")
    assert not splitter.thinking
