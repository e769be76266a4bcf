# SPDX-License-Identifier: MIT
"""When an engine is taken to hang, and when it is only slow."""

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.engine.watchdog import LATE_S, Watchdog


def watch(dog: Watchdog, begin_s: int, end_s: int) -> list[tuple[int, str]]:
    """Look once a second and return when it had something to say."""
    seen = [(now, dog.verdict(float(now))) for now in range(begin_s, end_s)]
    return [(now, verdict) for now, verdict in seen if verdict is not None]


def test_a_process_that_says_nothing_is_ended_after_its_limit() -> None:
    dog = Watchdog(hang_limit_s=30, cancel_limit_s=10)
    dog.job_begins(0.0)
    (when, verdict), *_ = watch(dog, 1, 60)
    assert (when, verdict) == (31, "showed no sign of life for 31 s")


def test_a_process_that_lives_while_llama_cpp_does_not_is_ended_too() -> None:
    dog = Watchdog(hang_limit_s=30, cancel_limit_s=10)
    dog.job_begins(0.0)
    said = []
    for now in range(60):
        dog.hear(float(now), idle_s=float(now))
        said += [now] if dog.verdict(float(now)) else []
    assert said[0] == 31


def test_a_cancel_that_is_not_obeyed_ends_it_and_the_next_job_begins_anew() -> None:
    dog = Watchdog(hang_limit_s=30, cancel_limit_s=10)
    dog.job_begins(0.0)
    dog.cancelled(2.0)
    dog.cancelled(8.0)  # Pressed again: the first one counts.
    (when, verdict), *_ = watch(dog, 1, 20)
    assert (when, verdict) == (13, "did not stop within 10 s of being told to")
    dog.job_begins(20.0)
    assert not watch(dog, 21, 45)


def test_a_server_that_is_met_has_less_time_than_one_that_works() -> None:
    dog = Watchdog(hang_limit_s=300, meet_limit_s=30)
    dog.job_begins(0.0, meets_servers=True)
    assert not watch(dog, 1, 100)  # The process starts; it has said nothing yet.
    dog.hear(100.0, idle_s=29.0)
    assert dog.verdict(101.0) is None
    dog.hear(102.0, idle_s=31.0)
    assert dog.verdict(103.0) == "showed no sign of life for 31 s"
    dog.servers_met()
    assert dog.verdict(104.0) is None
    dog.job_begins(105.0)
    dog.hear(106.0, idle_s=31.0)
    assert dog.verdict(107.0) is None


def test_our_own_sleep_is_not_held_against_the_engine() -> None:
    dog = Watchdog(hang_limit_s=30, cancel_limit_s=10)
    dog.job_begins(0.0)
    dog.cancelled(1.0)
    assert dog.verdict(2.0) is None
    assert dog.verdict(500.0) is None
    assert dog.verdict(501.0) is None
    assert watch(dog, 502, 520)[0][0] == 511


@given(st.lists(st.floats(0.0, LATE_S), min_size=1, max_size=200), st.floats(1.0, 100.0))
def test_an_engine_that_is_heard_is_never_ended(gaps: list[float], limit_s: float) -> None:
    dog = Watchdog(hang_limit_s=limit_s, cancel_limit_s=limit_s)
    dog.job_begins(0.0)
    now = 0.0
    for gap in gaps:
        now += gap
        dog.hear(now, idle_s=min(gap, limit_s))
        assert dog.verdict(now) is None
