# SPDX-License-Identifier: MIT
"""Fan curves: what they say, and which cannot be."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.cooling.curve import (
    CurveError,
    FanCurve,
    curve_as_json,
    curve_from_json,
    parse_points,
    points_as_text,
)
from rigpanel.cooling.presets import BALANCED, PRESETS, for_bottom_card
from tests.cooling.curves import curves


@pytest.mark.parametrize(
    ("temperature_c", "duty_pct"),
    [(-10, 30), (40, 30), (50, 40), (60, 50), (67.5, 65), (75, 80), (84, 100), (200, 100)],
)
def test_it_is_straight_between_points_and_flat_outside(
    temperature_c: float, duty_pct: float
) -> None:
    curve = FanCurve(((40, 30), (60, 50), (75, 80), (84, 100)))
    assert curve.duty_pct(temperature_c) == pytest.approx(duty_pct)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (((40.0, 30.0),), "2 to 16 points; this one has 1"),
        (tuple((float(at), 50.0) for at in range(17)), "this one has 17"),
        (((60.0, 30.0), (40.0, 50.0)), "40 °C comes after 60 °C"),
        (((40.0, 30.0), (40.0, 50.0)), "40 °C comes after 40 °C"),
        (((40.0, 50.0), (60.0, 30.0)), "A hotter card may not get less air: 30 % at 60 °C"),
        (((40.0, 30.0), (60.0, 101.0)), "101 % at 60 °C cannot be"),
        (((40.0, -1.0), (60.0, 50.0)), "-1 % at 40 °C cannot be"),
        (((40.0, 30.0), (float("nan"), 50.0)), "nan °C cannot be a point"),
        (((40.0, 30.0), (60.0, float("inf"))), "inf % at 60 °C cannot be"),
        (((40.0, 30.0), (130.0, 50.0)), "130 °C cannot be a point"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_with_its_fault(
    points: tuple[tuple[float, float], ...], said: str
) -> None:
    with pytest.raises(CurveError) as refused:
        FanCurve(points)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("smoothing", "said"),
    [
        ({"hysteresis_c": -1}, "hysteresis of -1 °C"),
        ({"hysteresis_c": float("nan")}, "hysteresis of nan"),
        ({"hold_s": 1e9}, "minimum hold"),
        ({"step_down_pct": 0}, "step down of 0 %"),
        ({"critical_c": 140}, "critical temperature of 140 °C"),
        ({"auto_below_c": 90}, "hand-back temperature of 90 °C"),
    ],
)
def test_smoothing_that_cannot_be_is_refused(smoothing: dict[str, Any], said: str) -> None:
    with pytest.raises(CurveError) as refused:
        replace(BALANCED, **smoothing)
    assert said in str(refused.value)


def test_points_are_read_as_they_are_written() -> None:
    points = parse_points(" 40:30, 60:50,75.5:80,84:100")
    assert list(points) == [(40, 30), (60, 50), (75.5, 80), (84, 100)]
    assert points_as_text(points) == "40:30,60:50,75.5:80,84:100"


@pytest.mark.parametrize("text", ["", "40", "40:", "forty:30,60:50", "40:30;60:50", "40:30,,60:50"])
def test_what_is_no_list_of_points_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CurveError, match=r"40:30,60:50,84:100"):
        parse_points(text)


@given(curves())
def test_a_curve_goes_through_json_whole(curve: FanCurve) -> None:
    assert curve_from_json(curve_as_json(curve)) == curve


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"points": "40:30"},
        {"points": [[40, 30], [60]]},
        {"points": [[40, 30], [60, True]]},
        {"points": [[40, 30], ["60", 50]]},
        {"points": [[40, 30], [60, 50]], "hold_s": "long"},
        {"points": [[40, 30], [60, 10**400]]},
    ],
)
def test_json_that_is_no_curve_is_refused(value: object) -> None:
    with pytest.raises(CurveError):
        curve_from_json(value)


@given(curves(), st.floats(-50, 200), st.floats(0, 100))
def test_a_hotter_card_never_gets_less(curve: FanCurve, at_c: float, more_c: float) -> None:
    assert curve.duty_pct(at_c) <= curve.duty_pct(at_c + more_c) + 1e-9
    assert curve.points[0][1] <= curve.duty_pct(at_c) <= curve.points[-1][1]


@pytest.mark.parametrize("name", PRESETS)
def test_the_bottom_card_is_given_more_air_at_every_temperature(name: str) -> None:
    curve, bottom = PRESETS[name], for_bottom_card(PRESETS[name])
    assert all(bottom.duty_pct(at) >= curve.duty_pct(at) for at in range(20, 100))
    assert bottom.duty_pct(70) > curve.duty_pct(70)
