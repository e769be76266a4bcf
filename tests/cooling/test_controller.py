# SPDX-License-Identifier: MIT
"""The controller's decisions, one table and one property at a time."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.cooling.controller import CoolingSample, Decision, DutyRange, FanController, Why
from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.sensor import BLIND_AFTER_READS, GOOD_AGAIN, PLAUSIBLE_C
from rigpanel.rig.readings import Missing, Reading
from tests.cooling.curves import curves, samples

CURVE = FanCurve(((40, 30), (60, 50), (80, 90), (84, 100)), hold_s=5.0, step_down_pct=5.0)
LOST = Missing.GPU_LOST


def run(
    curve: FanCurve, temperatures: Sequence[Reading[float]], powers: list[float] | None = None
) -> list[Decision]:
    """Step once a second through temperatures."""
    controller = FanController(curve, DutyRange(30, 100))
    return [
        controller.step(
            CoolingSample(at_c, 200.0 if powers is None else powers[second], 95.0), float(second)
        )
        for second, at_c in enumerate(temperatures)
    ]


def duties(curve: FanCurve, temperatures: Sequence[Reading[float]]) -> list[int | None]:
    return [decision.duty_pct for decision in run(curve, temperatures)]


def test_a_rise_is_followed_at_once_and_whole() -> None:
    assert duties(CURVE, [40.0, 60.0, 80.0]) == [30, 50, 90]
    assert duties(CURVE, [60.0, 61.0, 62.0, 62.5]) == [50, 52, 54, 55]


def test_a_fall_is_followed_after_the_hold_in_steps() -> None:
    assert duties(CURVE, [80.0, 70.0, 60.0, 60.0, 60.0, 60.0, 60.0]) == [90] * 5 + [85] * 2


def test_a_small_fall_is_not_followed_at_all() -> None:
    assert set(duties(CURVE, [70.0] + [67.0] * 60)) == {70}
    assert set(duties(CURVE, [70.0] + [66.0] * 60)) == {70, 68}


def test_it_keeps_to_what_the_card_takes() -> None:
    low = FanCurve(((40, 0), (90, 100)))
    assert duties(low, [40.0, 45.0]) == [30, 30]
    controller = FanController(low, DutyRange(20, 80))
    assert controller.step(CoolingSample(89.0, 200.0, 95.0), 0.0).duty_pct == 80


def test_at_critical_it_is_full_whatever_came_before() -> None:
    lazy = FanCurve(((40, 30), (110, 30)), critical_c=88)
    assert duties(lazy, [50.0, 87.0, 88.0]) == [30, 30, 100]


def test_critical_is_never_above_the_cards_own_slowdown() -> None:
    lazy = FanCurve(((40, 30), (110, 30)), critical_c=100)
    controller = FanController(lazy, DutyRange())
    assert controller.critical_c(83.0) == 83.0
    assert controller.step(CoolingSample(83.0, 300.0, 83.0), 0.0) == Decision(100, Why.CRITICAL)


def test_below_the_hand_back_temperature_the_card_has_its_fans() -> None:
    zero = FanCurve(((40, 30), (80, 90)), auto_below_c=40.0, hysteresis_c=4.0)
    decisions = run(zero, [50.0, 41.0, 39.0, 41.0, 43.0, 44.0])
    assert [decision.duty_pct is None for decision in decisions] == [
        *(False, False, True, True, True, False)
    ]
    assert (decisions[2].why, decisions[2].trouble) == (Why.COOL, None)


def test_one_failed_read_is_bridged_and_three_are_not() -> None:
    assert duties(CURVE, [70.0, LOST, LOST, 70.0]) == [70] * 4
    decisions = run(CURVE, [70.0, LOST, LOST, LOST])
    assert decisions[-1] == Decision(None, Why.BLIND, "the temperature cannot be read (gpu lost)")


def test_a_sensor_that_works_again_is_believed_after_a_while() -> None:
    found = duties(CURVE, [70.0, LOST, LOST, LOST, *[70.0] * (GOOD_AGAIN + 1)])
    assert found[4:] == [None] * GOOD_AGAIN + [70]


def test_a_card_never_read_is_never_held() -> None:
    assert duties(CURVE, [LOST, LOST]) == [None, None]


@pytest.mark.parametrize("absurd", [0.0, -5.0, math.nan])
def test_an_impossible_reading_is_no_reading(absurd: float) -> None:
    decisions = run(CURVE, [70.0, absurd, absurd, absurd])
    assert [decision.duty_pct for decision in decisions] == [70, 70, 70, None]
    assert "cannot be" in str(decisions[-1].trouble)


def test_an_absurdly_high_reading_blows_first_and_hands_back_then() -> None:
    assert duties(CURVE, [70.0, 65535.0, 65535.0, 65535.0]) == [70, 100, 100, None]


def test_a_fall_no_die_can_make_is_not_believed() -> None:
    assert duties(CURVE, [80.0, 20.0, 20.0]) == [90, 90, 90]
    assert duties(CURVE, [80.0, 20.0, 20.0, 20.0])[-1] is None


def test_a_sensor_frozen_while_power_swings_is_not_believed() -> None:
    powers = [60.0] * 20 + [340.0] * 60
    decisions = run(CURVE, [50.0] * 80, powers)
    assert decisions[19].duty_pct == 40
    assert decisions[-1].duty_pct is None
    assert "has stood at 50 °C" in str(decisions[-1].trouble)
    freed = run(CURVE, [50.0] * 80 + [55.0] * (GOOD_AGAIN + 1), powers + [340.0] * 6)
    assert freed[-1].duty_pct == 45


def test_a_steady_card_under_steady_power_is_believed() -> None:
    powers = [300.0 + (second % 3) * 15 for second in range(600)]
    assert {decision.duty_pct for decision in run(CURVE, [71.0] * 600, powers)} == {72}


@given(
    curves(),
    st.lists(st.tuples(samples(), st.floats(0.05, 5.0)), min_size=1, max_size=60),
    st.integers(0, 60),
    st.integers(60, 100),
)
def test_no_sensor_and_no_curve_can_do_harm(
    curve: FanCurve, story: list[tuple[CoolingSample, float]], low: int, high: int
) -> None:
    controller = FanController(curve, DutyRange(low, high))
    now, failed, last_good_s = 0.0, 0, -math.inf
    for sample, passed_s in story:
        now += passed_s
        decision = controller.step(sample, now)
        read = sample.temperature_c
        readable = not isinstance(read, Missing) and PLAUSIBLE_C[0] <= read <= PLAUSIBLE_C[1]
        failed = 0 if readable else failed + 1
        if readable:
            last_good_s = now
        assert decision.duty_pct is None or low <= decision.duty_pct <= high
        if not isinstance(read, Missing) and read >= controller.critical_c(sample.slowdown_c):
            assert decision.duty_pct in {high, None}
        if failed >= BLIND_AFTER_READS or (failed and now - last_good_s > 4.0):
            assert decision.duty_pct is None, "held while blind"
        if readable and decision.duty_pct is not None and not isinstance(read, Missing):
            wanted = DutyRange(low, high).clamp(curve.duty_pct(read))
            assert decision.duty_pct >= wanted, "less air than the curve asks for"
