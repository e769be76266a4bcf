# SPDX-License-Identifier: MIT
"""The oldest turns go first, the system prompt and the last question never."""

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine.dropping import fewest_to_drop, without_oldest
from rigpanel.engine.messages import ChatMessage


def talk(*roles: str) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage(role, str(number)) for number, role in enumerate(roles))


LONG = talk("system", "user", "assistant", "user", "assistant", "user")


def test_turns_go_in_pairs() -> None:
    asked: list[int] = []

    def fits(n_dropped: int) -> bool:
        asked.append(n_dropped)
        return n_dropped >= 1

    assert fewest_to_drop(LONG, fits) == 2
    assert [m.content for m in without_oldest(LONG, 2)] == ["0", "3", "4", "5"]
    assert len(asked) <= 2


def test_the_last_question_stays_when_nothing_fits() -> None:
    assert fewest_to_drop(LONG, lambda _: False) == 4
    assert [m.content for m in without_oldest(LONG, 4)] == ["0", "5"]
    assert fewest_to_drop(talk("system"), lambda _: False) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 60), st.booleans())
def test_no_fewer_would_do(users: list[bool], limit: int, system: bool) -> None:
    roles = ["user" if user else "assistant" for user in users]
    messages = talk(*(["system"] * system), *roles, "user")
    n_dropped = fewest_to_drop(messages, lambda n: len(messages) - n <= limit)
    left = without_oldest(messages, n_dropped)
    assert left[-1] == messages[-1]
    assert left[: int(system)] == messages[: int(system)]
    if n_dropped:
        assert left[int(system)].role == "user"
        assert len(messages) > limit


def test_two_thousand_messages_are_asked_of_a_few_times() -> None:
    messages = talk(*["user", "assistant"] * 1000, "user")
    asked: list[int] = []

    def fits(n_dropped: int) -> bool:
        asked.append(n_dropped)
        return n_dropped > 700

    assert fewest_to_drop(messages, fits) == 702
    assert len(asked) < 15
