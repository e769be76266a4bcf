# SPDX-License-Identifier: MIT
"""A fan curve: points of temperature and duty, and how a duty may follow it."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from rigpanel.errors import RigpanelError

Point: TypeAlias = tuple[float, float]
"""Temperature in °C and duty in percent."""

LEAST_POINTS, MOST_POINTS = 2, 16
LOWEST_C, HIGHEST_C = 0.0, 110.0
CRITICAL_C = 90.0
CRITICAL_RANGE_C = (60.0, 100.0)
AUTO_BELOW_RANGE_C = (20.0, 60.0)
HYSTERESIS_RANGE_C = (0.0, 20.0)
HOLD_RANGE_S = (0.0, 120.0)
STEP_RANGE_PCT = (1.0, 100.0)


class CurveError(RigpanelError):
    """A curve that cannot be; the text names the point or figure and what it may be."""


@dataclass(frozen=True, slots=True)
class FanCurve:
    """Points with straight lines between them, flat outside, and the smoothing on the way down.

    Raises CurveError where it could not be followed.
    """

    points: tuple[Point, ...]
    hysteresis_c: float = 3.0
    """A card must cool by so much before its duty follows it down."""
    hold_s: float = 5.0
    """Least time between a change and the next one down."""
    step_down_pct: float = 5.0
    """Most that one change takes away."""
    critical_c: float = CRITICAL_C
    """From here on full duty, past all smoothing."""
    auto_below_c: float | None = None
    """Below this the card's own control has its fans: the only way to zero rpm."""

    def __post_init__(self) -> None:
        _check_points(self.points)
        for name, value, (low, high), unit in (
            ("hysteresis", self.hysteresis_c, HYSTERESIS_RANGE_C, "°C"),
            ("minimum hold", self.hold_s, HOLD_RANGE_S, "s"),
            ("step down", self.step_down_pct, STEP_RANGE_PCT, "%"),
            ("critical temperature", self.critical_c, CRITICAL_RANGE_C, "°C"),
            ("hand-back temperature", self.auto_below_c, AUTO_BELOW_RANGE_C, "°C"),
        ):
            if value is not None and not low <= value <= high:
                raise CurveError(
                    f"A {name} of {value:g} {unit} cannot be: choose {low:g} to {high:g} {unit}."
                )

    def duty_pct(self, temperature_c: float) -> float:
        """Return the duty at a temperature, before smoothing and the card's own range."""
        first, last = self.points[0], self.points[-1]
        if temperature_c <= first[0]:
            return first[1]
        for (low_c, low_pct), (high_c, high_pct) in itertools.pairwise(self.points):
            if temperature_c <= high_c:
                share = (temperature_c - low_c) / (high_c - low_c)
                return low_pct + share * (high_pct - low_pct)
        return last[1]

    def shifted(self, warmer_by_c: float) -> "FanCurve":
        """Return the curve that does the same at so many degrees more."""
        moved = (
            (min(max(at + warmer_by_c, LOWEST_C), HIGHEST_C), duty) for at, duty in self.points
        )
        return replace(self, points=tuple(moved))


def _check_points(points: Sequence[Point]) -> None:
    if not LEAST_POINTS <= len(points) <= MOST_POINTS:
        raise CurveError(
            f"A curve needs {LEAST_POINTS} to {MOST_POINTS} points; this one has {len(points)}."
        )
    for at_c, duty in points:
        if not (math.isfinite(at_c) and LOWEST_C <= at_c <= HIGHEST_C):
            raise CurveError(
                f"{at_c:g} °C cannot be a point: choose {LOWEST_C:g} to {HIGHEST_C:g} °C."
            )
        if not (math.isfinite(duty) and 0 <= duty <= 100):
            raise CurveError(f"A duty of {duty:g} % at {at_c:g} °C cannot be: choose 0 to 100 %.")
    for (low_c, low_pct), (high_c, high_pct) in itertools.pairwise(points):
        if high_c <= low_c:
            raise CurveError(
                f"The points must stand in order of temperature: {high_c:g} °C comes after "
                f"{low_c:g} °C."
            )
        if high_pct < low_pct:
            raise CurveError(
                f"A hotter card may not get less air: {high_pct:g} % at {high_c:g} °C is less than "
                f"{low_pct:g} % at {low_c:g} °C."
            )


def parse_points(text: str) -> tuple[Point, ...]:
    """Read points written as `40:30,60:50`; raises CurveError."""
    points = []
    for part in text.split(","):
        at_c, colon, duty = part.strip().partition(":")
        try:
            points.append((float(at_c), float(duty)))
        except ValueError as error:
            what = f"{part.strip()!r} is no point" if colon else f"{part.strip()!r} has no duty"
            raise CurveError(f"{what}: write them as 40:30,60:50,84:100 (°C:%).") from error
    _check_points(points)
    return tuple(points)


def curve_as_json(curve: FanCurve) -> dict[str, Any]:
    """Return a curve as JSON can hold it."""
    return {
        "points": [list(point) for point in curve.points],
        "hysteresis_c": curve.hysteresis_c,
        "hold_s": curve.hold_s,
        "step_down_pct": curve.step_down_pct,
        "critical_c": curve.critical_c,
        "auto_below_c": curve.auto_below_c,
    }


def curve_from_json(value: object) -> FanCurve:
    """Return the curve that JSON holds, what is left out by default; raises CurveError."""
    if not isinstance(value, Mapping):
        raise CurveError("A curve must be an object with its points.")
    points = value.get("points")
    if not isinstance(points, Sequence) or isinstance(points, str) or len(points) > MOST_POINTS:
        raise CurveError(f"A curve needs a list of {LEAST_POINTS} to {MOST_POINTS} points.")
    known: dict[str, Any] = {
        name: _number(value[name], name)
        for name in ("hysteresis_c", "hold_s", "step_down_pct", "critical_c", "auto_below_c")
        if value.get(name) is not None
    }
    return FanCurve(tuple(_point(point) for point in points), **known)


def _point(value: object) -> Point:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise CurveError("A point must be a pair of temperature and duty.")
    return _number(value[0], "temperature"), _number(value[1], "duty")


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e6:
        raise CurveError(f"{name} must be a number.")
    return float(value)


def points_as_text(points: Iterable[Point]) -> str:
    """Write points as they are typed: `40:30,60:50`."""
    return ",".join(f"{at_c:g}:{duty:g}" for at_c, duty in points)
