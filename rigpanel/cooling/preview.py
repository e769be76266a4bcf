# SPDX-License-Identifier: MIT
"""What a curve would have done in a recorded time: reckoned anew, or else laid over it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rigpanel.cooling.controller import CoolingSample, Decision, DutyRange, FanController, Why
from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.recording import BREAK_S, Recording, Stretch
from rigpanel.cooling.thermal_model import NoModelError, ThermalModel
from rigpanel.rig.readings import Missing, Reading

LEAST_BETWEEN_S = 0.9
ROUNDED_C = 0.5
"""A card tells whole degrees: above 85 °C begins where it would tell 86."""
BEYOND_PCT = 5.0
"""So far outside the duties that were recorded a model is still believed."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A curve to be tried, and what of its card and its owner matters to it."""

    curve: FanCurve
    duties: DutyRange
    slowdown_c: Reading[float]
    hot_c: float
    """Time above it is counted."""

    def controller(self) -> FanController:
        """Return what would follow the curve."""
        return FanController(self.curve, self.duties)

    def decide(self, controller: FanController, reading: Reading[float], now_s: float) -> Decision:
        """Return what the fan would be told."""
        sample = CoolingSample(reading, Missing.NOT_SUPPORTED, self.slowdown_c)
        return controller.step(sample, now_s)


@dataclass(frozen=True, slots=True)
class CurveEstimate:
    """What a curve would have done, by a model of its card; what is `recorded` was measured."""

    span_s: float
    hot_s: float
    hot_between_s: tuple[float, float]
    """Least and most time above, as far as the model's error leaves that open."""
    peak_c: float
    mean_pct: float
    changes: int
    beyond_s: float
    """Time with a duty far from all that were recorded."""
    error_c: float
    recorded_hot_s: float
    recorded_peak_c: float
    recorded_mean_pct: float


@dataclass(frozen=True, slots=True)
class CurvePreview:
    """A curve laid over recorded temperatures, which were made by the duties recorded with them.

    The temperatures themselves are not reckoned anew: where the curve blows more than was
    recorded, the card would have been cooler, and the other way round.
    """

    span_s: float
    hot_s: float
    """Recorded time above."""
    mean_pct: float
    recorded_mean_pct: float | None
    hot_mean_pct: float | None
    """What the curve would have blown in the time above."""
    changes: int


def estimate(
    candidate: Candidate, recorded: Sequence[Stretch], model: ThermalModel
) -> CurveEstimate:
    """Follow a curve with the temperatures it makes itself, from each stretch's first one on.

    Raises NoModelError where the curve leaves the fans to the card.
    """
    runs = [_reckon(candidate, stretch, model) for stretch in recorded]
    made_c = np.concatenate([at_c for at_c, _ in runs])
    duties = np.concatenate([duty_pct for _, duty_pct in runs])
    was_c = np.concatenate([stretch.temperature_c[1:] for stretch in recorded])
    blown = np.concatenate([stretch.duty_pct for stretch in recorded])
    beyond = (duties < blown.min() - BEYOND_PCT) | (duties > blown.max() + BEYOND_PCT)
    hot_c = candidate.hot_c + ROUNDED_C
    return CurveEstimate(
        span_s=float(len(made_c)),
        hot_s=float(np.sum(made_c >= hot_c)),
        hot_between_s=(
            float(np.sum(made_c >= hot_c + model.error_c)),
            float(np.sum(made_c >= hot_c - model.error_c)),
        ),
        peak_c=float(made_c.max()),
        mean_pct=float(duties.mean()),
        changes=sum(int(np.count_nonzero(np.diff(duty_pct))) for _, duty_pct in runs),
        beyond_s=float(np.sum(beyond)),
        error_c=model.error_c,
        recorded_hot_s=float(np.sum(was_c >= hot_c)),
        recorded_peak_c=float(was_c.max()),
        recorded_mean_pct=float(blown.mean()),
    )


def _reckon(
    candidate: Candidate, stretch: Stretch, model: ThermalModel
) -> tuple[list[float], list[int]]:
    """Return temperature and duty after each second of a stretch."""
    controller = candidate.controller()
    made_c, duties = [], []
    at_c = float(stretch.temperature_c[0])
    cooler_c = model.cooler_c(at_c, float(stretch.power_w[0]))
    watts = zip(stretch.power_w.tolist(), stretch.others_w.tolist(), strict=True)
    for second, (power_w, others_w) in enumerate(watts):
        decision = candidate.decide(controller, float(round(at_c)), float(second))
        if decision.duty_pct is None:
            raise NoModelError(_why_left(candidate, decision))
        cooler_c = model.after_a_second(cooler_c, power_w, decision.duty_pct, others_w)
        at_c = model.temperature_c(cooler_c, power_w)
        made_c.append(at_c)
        duties.append(decision.duty_pct)
    return made_c, duties


def _why_left(candidate: Candidate, decision: Decision) -> str:
    if decision.why is Why.COOL:
        return (
            f"below {candidate.curve.auto_below_c:g} °C this curve leaves the fans to the card, "
            "and what that does with them is not known"
        )
    return "the model runs to temperatures that no card can have"


def preview(candidate: Candidate, recording: Recording) -> CurvePreview | None:
    """Lay a curve over recorded temperatures; None without any."""
    controller = candidate.controller()
    span_s = hot_s = blown = recorded = recorded_s = hot_blown = 0.0
    duties: list[int] = []
    last_s: float | None = None
    for at_s, at_c, was_pct in zip(
        recording.time_s.tolist(),
        recording.temperature_c.tolist(),
        recording.duty_pct.tolist(),
        strict=True,
    ):
        if last_s is not None and at_s - last_s < LEAST_BETWEEN_S:
            continue
        missing = math.isnan(at_c)
        decision = candidate.decide(controller, Missing.READ_FAILED if missing else at_c, at_s)
        passed_s = 0.0 if last_s is None else min(at_s - last_s, BREAK_S)
        last_s = at_s
        if missing or decision.duty_pct is None:
            continue
        duties.append(decision.duty_pct)
        span_s += passed_s
        blown += passed_s * decision.duty_pct
        if not math.isnan(was_pct):
            recorded += passed_s * was_pct
            recorded_s += passed_s
        if at_c > candidate.hot_c:
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
        changes=sum(before != after for before, after in itertools.pairwise(duties)),
    )
