# SPDX-License-Identifier: MIT
"""What a curve would have done to what was recorded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rigpanel.cooling.controller import CoolingSample, DutyRange, FanController
from rigpanel.cooling.curve import FanCurve
from rigpanel.rig.readings import Missing

HOT_C = 85.0
LEAST_BETWEEN_S = 1.0
BREAK_S = 10.0


@dataclass(frozen=True, slots=True)
class CurvePreview:
    """A curve laid over recorded temperatures, which were made by the duties recorded with them.

    The temperatures themselves are not reckoned anew: where the curve blows more than was
    recorded, the card would have been cooler, and the other way round.
    """

    span_s: float
    hot_s: float
    """Recorded time above 85 °C."""
    mean_pct: float
    recorded_mean_pct: float | None
    hot_mean_pct: float | None
    """What the curve would have blown in the time above 85 °C."""
    changes: int


def preview(
    curve: FanCurve,
    duties: DutyRange,
    time_s: Sequence[float],
    temperature_c: Sequence[float],
    duty_pct: Sequence[float],
) -> CurvePreview | None:
    """Follow a curve through recorded readings (NaN where one is missing); None without any."""
    controller = FanController(curve, duties)
    span_s = hot_s = blown = recorded = recorded_s = hot_blown = 0.0
    changes = 0
    last_s: float | None = None
    last_pct: int | None = None
    for at_s, at_c, was_pct in zip(time_s, temperature_c, duty_pct, strict=True):
        if last_s is not None and at_s - last_s < LEAST_BETWEEN_S:
            continue
        missing = math.isnan(at_c)
        reading = Missing.READ_FAILED if missing else at_c
        decision = controller.step(
            CoolingSample(reading, Missing.NOT_SUPPORTED, Missing.NOT_SUPPORTED), at_s
        )
        passed_s = 0.0 if last_s is None else min(at_s - last_s, BREAK_S)
        last_s = at_s
        if missing or decision.duty_pct is None:
            continue
        changes += last_pct is not None and decision.duty_pct != last_pct
        last_pct = decision.duty_pct
        span_s += passed_s
        blown += passed_s * decision.duty_pct
        if not math.isnan(was_pct):
            recorded += passed_s * was_pct
            recorded_s += passed_s
        if at_c > HOT_C:
            hot_s += passed_s
            hot_blown += passed_s * decision.duty_pct
    if span_s <= 0:
        return None
    return CurvePreview(
        span_s=span_s,
        hot_s=hot_s,
        mean_pct=blown / span_s,
        recorded_mean_pct=recorded / recorded_s if recorded_s else None,
        hot_mean_pct=hot_blown / hot_s if hot_s else None,
        changes=changes,
    )
