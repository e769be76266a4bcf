# SPDX-License-Identifier: MIT
"""Alerts: above 85 °C for 3 s raises, below 82 °C clears, and blindness does neither."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.rig.readings import GpuSample, Missing, Reading
from rigpanel.watch.alerts import AlertBook, AlertKind, TemperatureRule, Thresholds

BLANK = GpuSample(
    **{f.name: Missing.NOT_SUPPORTED for f in fields(GpuSample)}  # type: ignore[arg-type]
)


def card(temperature_c: Reading[float], index: int = 0) -> GpuSample:
    return replace(
        BLANK, index=index, uuid=f"GPU-{index}", name="NVIDIA RTX 3090", temperature_c=temperature_c
    )


def transitions(readings: Sequence[tuple[float, Reading[float]]]) -> list[tuple[float, bool]]:
    rule = TemperatureRule(Thresholds())
    found = []
    for now, temperature_c in readings:
        transition = rule.step(card(temperature_c), now)
        if transition is not None:
            found.append((now, transition.raised))
    return found


def test_hot_for_three_seconds_raises_and_below_82_clears() -> None:
    story = [(0.0, 86.0), (1.0, 86.0), (2.5, 86.0), (3.0, 86.0), (4.0, 82.0), (5.0, 81.9)]
    assert transitions(story) == [(3.0, True), (5.0, False)]


def test_exactly_85_is_not_above() -> None:
    assert transitions([(float(s), 85.0) for s in range(10)]) == []


def test_a_cool_reading_starts_the_hold_anew() -> None:
    story = [(0.0, 90.0), (2.0, 84.0), (2.5, 90.0), (5.0, 90.0), (5.5, 90.0)]
    assert transitions(story) == [(5.5, True)]


def test_blindness_neither_raises_nor_clears() -> None:
    story: list[tuple[float, Reading[float]]] = [(0.0, 90.0), (3.0, 90.0)]
    story += [(4.0, Missing.READ_FAILED), (60.0, Missing.GPU_LOST), (61.0, 90.0)]
    assert transitions(story) == [(3.0, True)]
    assert transitions([(0.0, Missing.READ_FAILED), (9.0, Missing.READ_FAILED)]) == []


def test_a_beat_that_trembles_does_not_cost_a_second() -> None:
    assert transitions([(0.004, 86.0), (1.0, 86.0), (2.0, 86.0), (3.0, 86.0)]) == [(3.0, True)]


def test_a_clock_set_back_neither_raises_early_nor_never() -> None:
    story = [(1000.0, 90.0), (10.0, 90.0), (12.0, 90.0), (13.0, 90.0)]
    assert transitions(story) == [(13.0, True)]


def test_not_a_number_is_no_temperature() -> None:
    story = [(0.0, math.nan), (9.0, math.nan), (10.0, 90.0), (13.0, 90.0), (14.0, math.nan)]
    assert transitions(story) == [(13.0, True)]


def test_a_lost_card_that_cannot_be_read_yet_is_not_back() -> None:
    book = AlertBook()
    book.step([card(Missing.GPU_LOST)], 0.0)
    assert book.step([card(Missing.READ_FAILED)], 1.0) == ()
    (back,) = book.step([card(Missing.NOT_SUPPORTED)], 2.0)
    assert not back.raised


def test_a_hot_card_that_is_lost_stays_hot_until_it_is_seen_cool() -> None:
    book = AlertBook(Thresholds(hold_s=0.0))
    book.step([card(90.0)], 0.0)
    book.step([card(Missing.GPU_LOST)], 1.0)
    assert {alert.kind for alert in book.standing} == {AlertKind.HOT, AlertKind.LOST}
    cleared = book.step([card(40.0)], 2.0)
    assert book.standing == ()
    assert [change.alert.kind for change in cleared] == [AlertKind.HOT, AlertKind.LOST]


def test_the_sentence_names_the_card_and_what_to_do() -> None:
    book = AlertBook()
    book.step([card(60.0, 0), card(90.0, 1)], 0.0)
    (transition,) = book.step([card(60.0, 0), card(90.0, 1)], 3.0)
    assert "GPU 1" in transition.alert.sentence
    assert "90 °C" in transition.alert.sentence
    assert "power limit" in transition.alert.sentence
    assert [alert.uuid for alert in book.standing] == ["GPU-1"]


def test_a_lost_card_is_told_at_once_and_cleared_when_it_answers() -> None:
    book = AlertBook()
    (lost,) = book.step([card(Missing.GPU_LOST)], 0.0)
    assert (lost.alert.kind, lost.raised) == (AlertKind.LOST, True)
    assert book.step([card(Missing.GPU_LOST)], 1.0) == ()
    (back,) = book.step([card(50.0)], 2.0)
    assert not back.raised
    assert back.alert.kind is AlertKind.LOST


def test_new_thresholds_hold_from_the_next_sample() -> None:
    book = AlertBook()
    book.step([card(75.0)], 0.0)
    book.set_thresholds(Thresholds(hot_c=70.0, cool_c=65.0, hold_s=0.0))
    (transition,) = book.step([card(75.0)], 1.0)
    assert transition.raised


@given(st.lists(st.one_of(st.none(), st.floats(20, 110)), max_size=60))
def test_raised_and_cleared_alternate_and_follow_the_readings(seen: list[float | None]) -> None:
    readings: list[tuple[float, Reading[float]]] = [
        (float(second), Missing.READ_FAILED if value is None else value)
        for second, value in enumerate(seen)
    ]
    found = transitions(readings)
    assert [raised for _, raised in found] == [n % 2 == 0 for n in range(len(found))]
    by_time = dict(readings)
    for now, raised in found:
        value = by_time[now]
        assert isinstance(value, float)
        assert value > 85.0 if raised else value < 82.0
