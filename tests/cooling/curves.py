# SPDX-License-Identifier: MIT
"""Curves and sensors as Hypothesis makes them."""

from hypothesis import strategies as st

from rigpanel.cooling.controller import CoolingSample
from rigpanel.cooling.curve import FanCurve
from rigpanel.rig.readings import Missing

MISSING = st.sampled_from(list(Missing))


@st.composite
def curves(draw: st.DrawFn) -> FanCurve:
    """Any curve that can be."""
    count = draw(st.integers(2, 8))
    at = draw(st.lists(st.integers(0, 110), min_size=count, max_size=count, unique=True))
    duties = draw(st.lists(st.integers(0, 100), min_size=count, max_size=count))
    points = zip(map(float, sorted(at)), map(float, sorted(duties)), strict=True)
    return FanCurve(
        tuple(points),
        hysteresis_c=draw(st.floats(0, 20)),
        hold_s=draw(st.floats(0, 120)),
        step_down_pct=draw(st.floats(1, 100)),
        critical_c=draw(st.floats(60, 100)),
        auto_below_c=draw(st.none() | st.floats(20, 60)),
    )


def samples() -> st.SearchStrategy[CoolingSample]:
    """What a sensor may say, the impossible and the missing too."""
    temperatures = (
        st.integers(20, 110).map(float)
        | st.sampled_from([-273.0, 0.0, 65535.0, float("inf"), float("nan"), 1e300])
        | MISSING
    )
    return st.builds(
        CoolingSample,
        temperatures,
        st.floats(0, 450) | MISSING,
        st.sampled_from([85.0, 93.0, 95.0]) | MISSING,
    )
