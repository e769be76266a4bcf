# SPDX-License-Identifier: MIT
"""Text of fast tokens is sent together; nothing is lost, mixed up or out of order."""

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine.batch import TextBatch
from rigpanel.engine.messages import PrefillProgressed, ReplyEvent, TextGenerated


def test_fast_text_is_fewer_events_and_the_first_does_not_wait() -> None:
    sent: list[ReplyEvent] = []
    batch = TextBatch(sent.append)
    for number in range(1, 6):
        batch.take(TextGenerated("a", number))
    assert sent == [TextGenerated("a", 1)]
    batch.take(PrefillProgressed(1, 1, 0))
    assert sent[1:] == [TextGenerated("aaaa", 5), PrefillProgressed(1, 1, 0)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans())))
def test_reasoning_and_answer_keep_apart_and_in_order(pieces: list[tuple[str, bool]]) -> None:
    sent: list[ReplyEvent] = []
    batch = TextBatch(sent.append)
    for number, (text, reasoning) in enumerate(pieces):
        batch.take(TextGenerated(text, number, reasoning))
    batch.flush()
    told = [
        (letter, event.reasoning)
        for event in sent
        if isinstance(event, TextGenerated)
        for letter in event.text
    ]
    assert told == pieces
