# SPDX-License-Identifier: MIT
"""A curve being drawn: points moved, added and deleted, each step to be undone and done again."""

from collections.abc import Sequence
from dataclasses import replace

from rigpanel.cooling.curve import (
    HIGHEST_C,
    LEAST_POINTS,
    LOWEST_C,
    MOST_POINTS,
    FanCurve,
    Point,
)

LEAST_APART_C = 1.0
STEPS_KEPT = 200


class CurveEditor:
    """Holds one curve that is always one that can be; what would break it is bent to fit."""

    def __init__(self, curve: FanCurve) -> None:
        self._curve = curve
        self._done: list[FanCurve] = []
        self._undone: list[FanCurve] = []
        self._before_drag: FanCurve | None = None
        self.snap = True
        """Whether points move in whole degrees and percents."""

    @property
    def curve(self) -> FanCurve:
        """The curve as it is drawn now."""
        return self._curve

    @property
    def points(self) -> tuple[Point, ...]:
        """Its points."""
        return self._curve.points

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._undone)

    def begin_drag(self) -> None:
        """Make everything until `end_drag` one step."""
        self._before_drag = self._curve

    def end_drag(self) -> None:
        """End a step that began with `begin_drag`."""
        before, self._before_drag = self._before_drag, None
        if before is not None and before != self._curve:
            self._keep(before)

    def move(self, place: int, at_c: float, duty_pct: float) -> Point:
        """Move a point as far as its neighbours let it, and return where it came to lie."""
        points = list(self.points)
        low_c = points[place - 1][0] + LEAST_APART_C if place else LOWEST_C
        high_c = points[place + 1][0] - LEAST_APART_C if place + 1 < len(points) else HIGHEST_C
        low_pct = points[place - 1][1] if place else 0.0
        high_pct = points[place + 1][1] if place + 1 < len(points) else 100.0
        if self.snap:
            at_c, duty_pct = float(round(at_c)), float(round(duty_pct))
        at_c = min(max(at_c, low_c), max(low_c, high_c))
        points[place] = (at_c, min(max(duty_pct, low_pct), high_pct))
        self._put(points)
        return points[place]

    def add(self, at_c: float, duty_pct: float | None = None) -> int | None:
        """Add a point, on the line where no duty is given; its place, or None without room."""
        if self.snap:
            at_c = float(round(at_c))
        points = list(self.points)
        near = any(abs(at_c - known) < LEAST_APART_C for known, _ in points)
        if near or len(points) >= MOST_POINTS or not LOWEST_C <= at_c <= HIGHEST_C:
            return None
        wanted = self._curve.duty_pct(at_c) if duty_pct is None else duty_pct
        if self.snap:
            wanted = float(round(wanted))
        place = sum(known < at_c for known, _ in points)
        low_pct = points[place - 1][1] if place else 0.0
        high_pct = points[place][1] if place < len(points) else 100.0
        points.insert(place, (at_c, min(max(wanted, low_pct), high_pct)))
        self._put(points)
        return place

    def add_after(self, place: int) -> int | None:
        """Add a point halfway to the next one, or to the one before for the last."""
        first = min(place, len(self.points) - 2)
        (low_c, _), (high_c, _) = self.points[first : first + 2]
        return self.add((low_c + high_c) / 2)

    def delete(self, place: int) -> bool:
        """Delete a point, unless too few would be left."""
        if len(self.points) <= LEAST_POINTS:
            return False
        self._put([point for index, point in enumerate(self.points) if index != place])
        return True

    def replace(self, curve: FanCurve) -> None:
        """Put another curve in the place of this one, as one step."""
        if curve != self._curve:
            self._step(curve)

    def start_over(self, curve: FanCurve) -> None:
        """Begin with another curve, with nothing to undo."""
        self._curve = curve
        self._done.clear()
        self._undone.clear()

    def undo(self) -> None:
        """Take the last step back."""
        if self._done:
            self._undone.append(self._curve)
            self._curve = self._done.pop()

    def redo(self) -> None:
        """Take the step that was undone last again."""
        if self._undone:
            self._done.append(self._curve)
            self._curve = self._undone.pop()

    def _put(self, points: Sequence[Point]) -> None:
        self._step(replace(self._curve, points=tuple(points)))

    def _step(self, curve: FanCurve) -> None:
        if self._before_drag is None and curve != self._curve:
            self._keep(self._curve)
        self._curve = curve

    def _keep(self, before: FanCurve) -> None:
        self._done = [*self._done[-STEPS_KEPT:], before]
        self._undone.clear()
