# SPDX-License-Identifier: MIT
"""Words are found in titles and texts, in any script, whatever is typed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rigpanel.chat.store import ConversationStore
from tests.chat.driving import LIMIT_S, begun, titles


@pytest.fixture
def filled(store: ConversationStore) -> ConversationStore:
    begun(store, "How warm may a card be?", "Up to 85 °C, says the_maker.", title="Heat")
    begun(store, "显卡的温度是多少", "大约六十度", title="Chinese")
    begun(store, "Как охладить карту?", "Да, ВЕНТИЛЯТОРОМ", title="Russian")
    begun(store, "100% of it", 'a "quoted" back\\slash', title="Signs")
    return store


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("warm", ["Heat"]),
        ("WAR", ["Heat"]),
        ("wa", ["Heat"]),
        ("card heat", ["Heat"]),
        ("85 warm", ["Heat"]),
        ("warm вентилятором", []),
        ("he_maker", ["Heat"]),
        ("t_e", []),
        ("温度", ["Chinese"]),
        ("卡的温", ["Chinese"]),
        ("六", ["Chinese"]),
        ("да", ["Russian"]),
        ("0%", ["Signs"]),
        ('"quoted"', ["Signs"]),
        ("back\\slash", ["Signs"]),
        ("%", ["Signs"]),
        ('"', ["Signs"]),
        ("  ", ["Signs", "Russian", "Chinese", "Heat"]),
        ("nowhere", []),
    ],
)
def test_words_are_found(filled: ConversationStore, search: str, found: list[str]) -> None:
    assert titles(filled, search) == found


def test_upper_and_lower_case_of_every_script_are_one(store: ConversationStore) -> None:
    begun(store, "Да, ВЕНТИЛЯТОРОМ", title="Russian")
    assert titles(store, "вентилятор") == titles(store, "RUSS") == ["Russian"]


@pytest.mark.parametrize(
    "search",
    ['ab"c', "'", "*", "a* OR b", "NEAR(", "text:", "-x", "^", "\0\0\0", "\ud800ab", "x" * 99],
)
def test_no_sign_is_an_error(filled: ConversationStore, search: str) -> None:
    assert titles(filled, search) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=st.text(max_size=300))
def test_nothing_typed_is_an_error(store: ConversationStore, search: str) -> None:
    store.list(search).result(LIMIT_S)


def test_streamed_text_is_found_once_the_reply_has_ended(store: ConversationStore) -> None:
    conversation = begun(store, "a")
    reply = store.add(
        conversation.info.id, conversation.leaf, "assistant", "", finished=False
    ).result(LIMIT_S)
    store.append(reply.id, "wind")
    store.append(reply.id, "mill")
    store.finish(reply.id, None).result(LIMIT_S)
    assert titles(store, "windmill") == ["a"]
