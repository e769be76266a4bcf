# SPDX-License-Identifier: MIT
"""How much of a cache a new prompt begins with, told by its text."""

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine import reuse

# The first 256 tokens are the bytes; then come whole words, as a tokenizer would take them.
WORDS = [b"warm", b" wind", b"wi", b"nd", "é".encode(), "\ufffd".encode(), b"</s>", b""]
WORD = {word: 256 + index for index, word in enumerate(WORDS)}


def piece(token: int) -> bytes:
    return bytes([token]) if token < 256 else WORDS[token - 256]


def splice(cached: list[int], fresh: list[int]) -> tuple[int, list[int]]:
    return reuse.splice(cached, fresh, lambda at: piece(cached[at]), lambda at: piece(fresh[at]))


def text_of(tokens: list[int]) -> str:
    return b"".join(map(piece, tokens)).decode("utf-8", "replace")


def spell(text: str) -> list[int]:
    return list(text.encode())


def test_the_models_own_spelling_stays_and_the_rest_is_new() -> None:
    cached = [1, WORD[b"warm"], *spell(" wind"), WORD[b"</s>"]]
    fresh = [1, WORD[b"warm"], WORD[b" wind"], WORD[b"</s>"], *spell("more")]
    assert splice(cached, fresh) == (len(cached), [*cached, *spell("more")])


def test_it_holds_up_to_the_last_place_where_both_end_a_token() -> None:
    cached = [*spell("a"), WORD[b"wi"], WORD[b"nd"], *spell(" b")]
    fresh = [*spell("a"), *spell("wind"), *spell(" c")]
    assert splice(cached, fresh) == (4, [*cached[:4], *spell("c")])


def test_a_control_token_that_nobody_saw_is_not_asked_for() -> None:
    cached, fresh = [*spell("a"), WORD[b"</s>"], *spell("b")], [*spell("ab"), *spell("c")]
    kept, tokens = reuse.splice(
        cached, fresh, lambda at: b"" if at == 1 else piece(cached[at]), lambda at: piece(fresh[at])
    )
    assert (kept, tokens) == (3, [*cached, *spell("c")])


def test_a_reply_that_nobody_saw_is_no_part_of_a_prompt_that_ends_before_it() -> None:
    cached, fresh = [WORD[b"warm"], WORD[b""], WORD[b""]], spell("warm")
    assert splice(cached, fresh) == (1, [WORD[b"warm"]])


def test_a_word_that_goes_on_differently_is_read_anew() -> None:
    cached, fresh = [WORD[b"warm"], WORD[b"wi"]], [WORD[b"warm"], *spell("wave")]
    kept, tokens = splice(cached, fresh)
    assert (kept, text_of(tokens)) == (1, "warmwave")


def test_what_is_no_character_is_the_sign_a_person_got_for_it() -> None:
    cached = [*spell("a"), 0xC3, *spell("b"), 0xFF]
    fresh = [*spell("a"), WORD["\ufffd".encode()], *spell("b"), *"\ufffd".encode(), *spell("!")]
    assert splice(cached, fresh) == (4, [*cached, *spell("!")])


def test_a_character_that_only_begins_alike_does_not_hold() -> None:
    cached, fresh = [*"€".encode()], [*"₭".encode()]
    assert cached[:2] == fresh[:2]
    assert splice(cached, fresh) == (2, fresh)


@given(st.data())
def test_the_prompt_says_the_same_and_begins_with_what_is_kept(data: st.DataObject) -> None:
    token = st.one_of(st.sampled_from(list(WORD.values())), st.sampled_from([0x61, 0xC3, 0xA9]))
    cached = data.draw(st.lists(token, max_size=12))
    # As a conversation goes: what was shown of some of it, spelt anew, and something after it.
    shown = text_of(cached[: data.draw(st.integers(0, len(cached)))])
    fresh = spell(shown + data.draw(st.text("awé", max_size=4)))
    kept, tokens = splice(cached, fresh)
    assert tokens[:kept] == cached[:kept]
    assert text_of(tokens) == text_of(fresh)
