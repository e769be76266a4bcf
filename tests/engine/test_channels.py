# SPDX-License-Identifier: MIT
"""The thoughts of gpt-oss are told from its answers by the heads of its messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.test_reasoning import split
from tests.engine.test_stop_strings import cut

ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|channel|>final<|message|>"
NEXT = "<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        (f"{ANALYSIS}hm{NEXT}{FINAL}Yes.", "hm", "Yes."),
        (f"{FINAL}Yes.", "", "Yes."),
        (f"{ANALYSIS}still", "still", ""),
        (f"{ANALYSIS}one{NEXT}{ANALYSIS}two{NEXT}{FINAL}Yes.", "one\n\ntwo", "Yes."),
        (f"{ANALYSIS}hm{NEXT}<|channel|>commentary<|message|>Wait.", "hm", "Wait."),
        (f"{ANALYSIS}hm<|channel|>final<|constrain|>json<|message|>{{}}", "hm", "{}"),
        (f"{ANALYSIS}2 <|e3 | 4", "2 <|e3 | 4", ""),
        (f"{ANALYSIS}cut off in a he<|en", "cut off in a he<|en", ""),
        (f"{ANALYSIS}hm{NEXT}<|channel|>fin", "hm", ""),
        ("<|channel|>anal", "", ""),
        ("<|channel|> is a mark of theirs.", "", "<|channel|> is a mark of theirs."),
        ("<|channel|>" + "x" * 300, "", "<|channel|>" + "x" * 300),
        (f"The head {FINAL} in an answer", "", f"The head {FINAL} in an answer"),
    ],
)
def test_heads_are_no_part_of_either(text: str, thought: str, answer: str) -> None:
    assert split([text]) == (thought, answer)
    assert split(list(text)) == (thought, answer)


def test_a_prompt_may_begin_the_thinking() -> None:
    assert split([f"hm{NEXT}{FINAL}Yes."], f"<|start|>assistant{ANALYSIS}") == ("hm", "Yes.")


@given(
    st.lists(
        st.sampled_from(
            [ANALYSIS, FINAL, NEXT, "<|", "end", "|>", "<|channel|>", "<|message|>", " ", "\n", "x"]
        )
    ),
    st.lists(st.integers(0, 99)),
)
def test_it_does_not_matter_how_the_text_is_cut(parts: list[str], at: list[int]) -> None:
    text = ANALYSIS + "".join(parts)
    assert split(cut(text, at)) == split([text])
