# SPDX-License-Identifier: MIT
"""What the helper tells of one card, in the panel's own terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rigpanel.cooling.curve import CurveError, FanCurve, curve_from_json
from rigpanel.cooling.state import ALL_FANS


@dataclass(frozen=True, slots=True)
class CardTold:
    """A card's curves in force, who holds its fans, and what is on trial."""

    uuid: str
    curves: Mapping[int | None, FanCurve]
    holders: tuple[str, ...]
    failsafe: str | None
    trial_left_s: float | None
    persisted: bool
    limit_w: float | None = None
    limit_range_w: tuple[float, float] | None = None
    limit_changed: bool = False
    """Whether the power limit was changed through the helper."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self | None:
        """Read a card of the helper's status; None for one whose name it does not know."""
        if told.get("uuid") is None:
            return None
        curves: dict[int | None, FanCurve] = {}
        for fan, curve in told.get("curves", {}).items():
            try:
                curves[None if fan == ALL_FANS else int(fan)] = curve_from_json(curve)
            except (CurveError, ValueError):
                continue  # another version's; the points are shown by `rigpanel fans`
        low, high = told.get("power_limit_min_w"), told.get("power_limit_max_w")
        holders = tuple(str(fan["held_by"]) for fan in told.get("fans") or ())
        return cls(
            uuid=told["uuid"],
            curves=curves,
            holders=holders,
            failsafe=told.get("failsafe"),
            trial_left_s=told.get("trial_left_s"),
            persisted=bool(told.get("persisted")) and bool(curves),
            limit_w=told.get("power_limit_w"),
            limit_range_w=None if low is None or high is None else (low, high),
            limit_changed=bool(told.get("limit_changed")),
        )

    def in_force(self, fan: int | None) -> FanCurve | None:
        """Return the curve that a fan follows, or the card's for None."""
        return self.curves.get(fan, self.curves.get(None))

    def lapsed_since(self, before: Self | None) -> bool:
        """Whether a change that was on trial before is no longer in force."""
        if before is None or before.trial_left_s is None or self.trial_left_s is not None:
            return False
        return (self.curves, self.limit_w) != (before.curves, before.limit_w)

    @property
    def held_in_words(self) -> str:
        """Say who holds the fans."""
        holders = set(self.holders)
        if self.failsafe is not None:
            return f"not on its curve: {self.failsafe}"
        if holders == {"curve"}:
            return "on its curve" + (", kept over a restart" if self.persisted else "")
        if "other" in holders:
            return "some fans are set by another program"
        return "some fans on a curve" if "curve" in holders else "card's own control"
