# SPDX-License-Identifier: MIT
"""Whether a card's temperature can be believed: failing, implausible and frozen sensors."""

from collections import deque
from dataclasses import dataclass

from rigpanel.rig.readings import Missing, Reading

PLAUSIBLE_C = (1.0, 120.0)
FALL_C_PER_S = 15.0
"""A die cools slower than this; a greater fall is a wrong reading. A rise is always believed."""
BLIND_AFTER_READS = 3
BLIND_AFTER_S = 4.0
GOOD_AGAIN = 5
"""So many good readings in a row end the distrust."""
FROZEN_S = 30.0
FROZEN_SWING_W = 100.0
"""A swing kept for POWER_MEAN_S moves a card of some 400 J/K by two degrees and more."""
POWER_MEAN_S = 8.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The temperature to go by, if any; `trouble` says why the card's fans may not be held."""

    temperature_c: float | None
    trouble: str | None = None


class SensorGuard:
    """Watches one card's temperature; a failed reading or two are bridged by the last good one."""

    def __init__(self) -> None:
        self._last_c: float | None = None
        self._last_good_s = 0.0
        self._failed = 0
        self._good = 0
        self._trouble: str | None = None
        self._frozen = _FrozenWatch()

    def step(self, temperature_c: Reading[float], power_w: Reading[float], now: float) -> Verdict:
        """Judge one tick's reading at `now`, in seconds that never go back."""
        doubt = self._doubt(temperature_c, now)
        if doubt is None and not isinstance(temperature_c, Missing):
            self._last_c, self._last_good_s = temperature_c, now
            self._failed = 0
            frozen = self._frozen.step(temperature_c, power_w, now)
            if frozen is not None:
                self._trouble, self._good = frozen, 0
        else:
            self._failed += 1
            self._good = 0
            blind = self._failed >= BLIND_AFTER_READS or now - self._last_good_s > BLIND_AFTER_S
            if self._last_c is not None and blind:
                self._trouble = doubt
        if self._trouble is not None:
            self._good += doubt is None and self._frozen.moved
            if self._good <= GOOD_AGAIN:
                return Verdict(None, self._trouble)
            self._trouble = None
        if self._last_c is None:
            return Verdict(None, doubt)
        return Verdict(self._last_c)

    def _doubt(self, reading: Reading[float], now: float) -> str | None:
        """Say what is wrong with a reading, or None."""
        if isinstance(reading, Missing):
            return f"the temperature cannot be read ({reading.value.replace('_', ' ')})"
        low, high = PLAUSIBLE_C
        if not low <= reading <= high:
            return f"the sensor says {reading:g} °C, which cannot be"
        passed_s = min(max(now - self._last_good_s, 1.0), 60.0)
        if self._last_c is not None and self._trouble is None:
            fall_c = self._last_c - reading
            if fall_c > FALL_C_PER_S * passed_s:
                return f"the sensor fell by {fall_c:g} °C in {passed_s:.0f} s, which cannot be"
        return None


class _FrozenWatch:
    """Finds a temperature that stands still while power swings for longer than a blink."""

    def __init__(self) -> None:
        self._at_c: float | None = None
        self._since_s = 0.0
        self._powers: deque[tuple[float, float]] = deque()
        self._least_w = self._most_w = 0.0
        self._found = False

    @property
    def moved(self) -> bool:
        """Whether the temperature has changed since it was found frozen."""
        return not self._found

    def step(self, temperature_c: float, power_w: Reading[float], now: float) -> str | None:
        """Take a good reading; a sentence once it has been found frozen, while it is."""
        if temperature_c != self._at_c:
            self._at_c, self._since_s, self._found = temperature_c, now, False
            self._powers.clear()
            self._least_w, self._most_w = float("inf"), 0.0
        if not isinstance(power_w, Missing):
            self._powers.append((now, power_w))
            while self._powers[0][0] < now - POWER_MEAN_S:
                self._powers.popleft()
            if now - self._since_s >= POWER_MEAN_S:
                mean_w = sum(watts for _, watts in self._powers) / len(self._powers)
                self._least_w = min(self._least_w, mean_w)
                self._most_w = max(self._most_w, mean_w)
        stood_s = now - self._since_s
        swing_w = self._most_w - self._least_w
        if stood_s < FROZEN_S or swing_w < FROZEN_SWING_W:
            return None
        self._found = True
        return (
            f"the sensor has stood at {temperature_c:g} °C for {stood_s:.0f} s while power swung "
            f"by {swing_w:.0f} W"
        )
