# SPDX-License-Identifier: MIT
"""Whatever happens to a card and its curves, one after another: no fan is left where none looks."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.loop import CardCurves
from rigpanel.rig.readings import Missing
from tests.cooling.watched import CURVE, Watched
from tests.fakes.nvml.rig import UNKNOWN

ZERO_RPM = FanCurve(((60, 50), (84, 100)), auto_below_c=60)
CURVES: tuple[CardCurves, ...] = ({}, {None: CURVE}, {None: ZERO_RPM}, {1: CURVE}, {0: ZERO_RPM})
LEAST_PCT, FULL_PCT = 30, 100
FEW_TICKS, CALM_TICKS = 4, 8

Step = Callable[[Watched], None]


def heat(at_c: int) -> Step:
    return lambda watched: setattr(watched.rig.card(0), "temperature_c", at_c)


def curves(number: int) -> Step:
    return lambda watched: watched.loop.set_curves(watched.rig.uuid(0), CURVES[number])


def fail(watched: Watched) -> None:
    watched.rig.fail("nvmlDeviceGetTemperatureV", UNKNOWN, card=0)


def mend(watched: Watched) -> None:
    watched.rig.mend()


def lose(watched: Watched) -> None:
    watched.rig.lose(0)


def bring_back(watched: Watched) -> None:
    watched.rig.bring_back(0)


def reload_driver(watched: Watched) -> None:
    watched.rig.reload_driver()


def forget(watched: Watched) -> None:
    """Have the driver drop its order to one fan."""
    fan = watched.rig.card(0).fans[0]
    fan.manual, fan.duty_pct, fan.target_pct = 0, LEAST_PCT, LEAST_PCT


def sleep(watched: Watched) -> None:
    watched.apart_s += 3600.0


def suspend(watched: Watched) -> None:
    watched.loop.suspend()


def resume(watched: Watched) -> None:
    watched.loop.resume()


def wait(watched: Watched) -> None:
    watched.tick(5)


USUAL = st.sampled_from((40, 58, 70, 92)).map(heat) | st.sampled_from(range(len(CURVES))).map(
    curves
)
MISHAPS = st.sampled_from(
    (fail, mend, lose, bring_back, reload_driver, forget, sleep, suspend, resume, wait)
)
STEPS = USUAL | USUAL | MISHAPS


def end_blind(watched: Watched) -> None:
    fail(watched)
    watched.tick(CALM_TICKS)
    assert watched.rig.manual_fans == [], "held while blind"


def end_without_curves(watched: Watched) -> None:
    curves(0)(watched)
    watched.tick(CALM_TICKS)
    assert watched.rig.manual_fans == [], "held with no curve"


def end(watched: Watched) -> None:
    assert watched.loop.hand_back_all() == []
    assert watched.rig.manual_fans == [], "held at the end"


def end_critical(watched: Watched) -> None:
    heat(94)(watched)
    watched.tick(CALM_TICKS)
    fans = watched.rig.card(0).fans[:2]
    assert [fan.duty_pct for fan in fans if fan.manual and fan.duty_pct < FULL_PCT] == []


def looked_after(watched: Watched) -> None:
    """Hold that every fan in manual has a curve that ordered just that."""
    uuid = watched.rig.uuid(0)
    vitals = watched.loop.card(uuid)
    if watched.rig.card(0).lost or vitals is None or vitals.temperature_c is Missing.GPU_LOST:
        return  # it cannot be handed back, nor shown to be
    for number, fan in enumerate(watched.rig.card(0).fans[:2]):
        hold = watched.loop.hold(uuid, number)
        assert not fan.manual or (hold is not None and hold.ordered == fan.duty_pct >= LEAST_PCT)


@given(
    st.lists(STEPS, max_size=12),
    st.sampled_from((end_blind, end_without_curves, end, end_critical)),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_story_leaves_a_fan_held_by_nobody(
    watched: Watched, story: list[Step], ending: Step
) -> None:
    rig = watched.rig
    watched.loop.control.close()  # the driver starts anew only once nobody has it open
    mend(watched)
    bring_back(watched)
    reload_driver(watched)
    heat(60)(watched)
    fresh = Watched(rig)
    try:
        for step in story:
            step(fresh)
            fresh.tick(FEW_TICKS)
            looked_after(fresh)
        mend(fresh)
        bring_back(fresh)
        resume(fresh)
        fresh.tick(60)  # so that a card that was lost is found again
        ending(fresh)
    finally:
        fresh.loop.control.close()
