# SPDX-License-Identifier: MIT
"""What a tree of messages tells: the branch shown, its neighbours, a title, what replies took."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.chat.conversation import TITLE_CHARS, Conversation, title_from
from rigpanel.rig.readings import Missing
from tests.chat.driving import BLIND, RECORD, tree, trees


def test_branches_are_told_apart() -> None:
    both = tree([None, 0, 0, 1, 2, 1], leaf=3)
    assert [message.id for message in both.path()] == [0, 1, 3]
    assert both.siblings(1) == (1, 2)
    assert both.siblings(3) == (3, 5)
    assert both.siblings(0) == (0,)
    assert both.leaf_below(1) == 5
    assert both.leaf_below(2) == 4
    assert tree([]).path() == ()


@given(trees())
def test_every_message_is_on_the_branch_it_leads_to(conversation: Conversation) -> None:
    for number in conversation.messages:
        end = conversation.leaf_below(number)
        path = [message.id for message in replace(conversation, leaf=end).path()]
        assert number in path
        assert end not in {message.parent for message in conversation.messages.values()}
        assert number in conversation.siblings(number)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("How warm may a card be?", "How warm may a card be?"),
        ("\n\n  # A   heading \nand more", "A heading"),
        ("```\ndef f(): ...", "def f(): ..."),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("温" * 100, "温" * 59 + "…"),
        ("...\n\n!", ""),
        ("", ""),
    ],
)
def test_a_title_is_the_first_line_cut_at_a_word(text: str, title: str) -> None:
    assert title_from(text) == title


@given(st.text())
def test_a_title_is_short_and_one_line(text: str) -> None:
    title = title_from(text)
    assert len(title) <= TITLE_CHARS + 1
    assert len(title.splitlines()) <= 1


def test_energy_a_token_is_missing_unless_every_card_tells() -> None:
    assert RECORD.energy_j == pytest.approx(1000.0)
    assert RECORD.j_per_token == pytest.approx(25.0)
    assert replace(RECORD, energy=BLIND).j_per_token is Missing.NOT_SUPPORTED
    assert replace(RECORD, energy=()).energy_j is Missing.NOT_SUPPORTED
    nothing = replace(RECORD, stats=replace(RECORD.stats, n_gen=0))
    assert nothing.j_per_token is Missing.NOT_SUPPORTED
