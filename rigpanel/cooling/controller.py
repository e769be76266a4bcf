# SPDX-License-Identifier: MIT
"""One fan's duty, tick by tick: pure, with no clock and no driver."""

import enum
import math
from dataclasses import dataclass

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.sensor import SensorGuard
from rigpanel.rig.readings import Missing, Reading


class Why(enum.Enum):
    """What decided a duty."""

    CURVE = "curve"
    SMOOTHED = "smoothed"
    """The curve asks for less; hysteresis, hold or step keep it up for now."""
    CRITICAL = "critical"
    COOL = "cool"
    """Below the temperature under which the card's own control has its fans."""
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class CoolingSample:
    """What a decision is made from."""

    temperature_c: Reading[float]
    power_w: Reading[float]
    slowdown_c: Reading[float]


@dataclass(frozen=True, slots=True)
class DutyRange:
    """The duties a card's fan takes, in percent."""

    low_pct: int = 30
    high_pct: int = 100

    def clamp(self, duty_pct: float) -> int:
        """Return a whole duty in the range, rounded towards more air."""
        return min(max(math.ceil(duty_pct - 1e-6), self.low_pct), self.high_pct)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a fan shall do: hold a duty, or, where `duty_pct` is None, be left to the card."""

    duty_pct: int | None
    why: Why
    trouble: str | None = None
    """Why the fan cannot be held, where it cannot."""


class FanController:
    """Follows one curve for one fan; only ever down is it smoothed."""

    def __init__(self, curve: FanCurve, duties: DutyRange) -> None:
        self._curve = curve
        self.duties = duties
        self._sensor = SensorGuard()
        self._duty: int | None = None
        self._changed_s = 0.0
        self._cool = False

    def critical_c(self, slowdown_c: Reading[float]) -> float:
        """Return where full duty begins: never above the card's slowdown threshold."""
        if isinstance(slowdown_c, Missing):
            return self._curve.critical_c
        return min(self._curve.critical_c, slowdown_c)

    def step(self, sample: CoolingSample, now: float) -> Decision:
        """Decide for a sample taken at `now`, in seconds that never go back."""
        seen = self._sensor.step(sample.temperature_c, sample.power_w, now)
        if seen.temperature_c is None:
            self._duty = None
            return Decision(None, Why.BLIND, seen.trouble)
        hottest_c = seen.temperature_c
        if not isinstance(sample.temperature_c, Missing) and sample.temperature_c > hottest_c:
            hottest_c = sample.temperature_c  # distrusted perhaps, but never against more air
        if hottest_c >= self.critical_c(sample.slowdown_c):
            self._cool = False
            return self._change(self.duties.high_pct, Why.CRITICAL, now)
        if self._is_cool(hottest_c):
            self._duty = None
            return Decision(None, Why.COOL)
        return self._follow(hottest_c, now)

    def _is_cool(self, temperature_c: float) -> bool:
        limit_c = self._curve.auto_below_c
        if limit_c is None:
            return False
        if self._cool:
            self._cool = temperature_c < limit_c + self._curve.hysteresis_c
        else:
            self._cool = temperature_c < limit_c
        return self._cool

    def _follow(self, temperature_c: float, now: float) -> Decision:
        wanted = self.duties.clamp(self._curve.duty_pct(temperature_c))
        if self._duty is None or wanted >= self._duty:
            return self._change(wanted, Why.CURVE, now)
        lower = self.duties.clamp(self._curve.duty_pct(temperature_c + self._curve.hysteresis_c))
        if lower >= self._duty or now - self._changed_s < self._curve.hold_s:
            return Decision(self._duty, Why.SMOOTHED)
        floor = math.ceil(self._duty - self._curve.step_down_pct)
        stepped = max(lower, min(floor, self._duty - 1))
        return self._change(stepped, Why.CURVE if stepped == wanted else Why.SMOOTHED, now)

    def _change(self, duty: int, why: Why, now: float) -> Decision:
        if duty != self._duty:
            self._duty, self._changed_s = duty, now
        return Decision(duty, why)
