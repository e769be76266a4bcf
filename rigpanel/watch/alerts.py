# SPDX-License-Identifier: MIT
"""Alerts: rules that step through samples and say when something starts or stops being wrong."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from rigpanel.rig.readings import GpuSample, Missing

HOLD_SLACK_S = 0.05
"""Readings come on a beat that trembles: the hold time is full this much early, so that a second is
not lost to a reading that came a millisecond soon."""


class AlertKind(enum.Enum):
    """What an alert is about."""

    HOT = "hot"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something wrong with one card, from the moment it was raised."""

    kind: AlertKind
    uuid: str
    card: str
    """The card as people call it."""
    sentence: str
    """What is wrong and what to do."""
    raised_at_s: float
    """Seconds since the epoch."""
    cleared_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert that was just raised (`cleared_at_s` is None) or just cleared."""

    alert: Alert

    @property
    def raised(self) -> bool:
        """Whether this is the beginning of the alert."""
        return self.alert.cleared_at_s is None


class AlertRule(Protocol):
    """One rule for one card; pure: no clock, no input or output."""

    def step(self, sample: GpuSample, now: float) -> Transition | None:
        """Take one sample at `now` (seconds since the epoch) and say what changed."""
        ...


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a card is hot: above `hot_c` for `hold_s` raises, below `cool_c` clears."""

    hot_c: float = 85.0
    cool_c: float = 82.0
    hold_s: float = 3.0


class TemperatureRule:
    """A card above 85 °C for 3 s raises, below 82 °C clears; blindness does neither."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._above_since: float | None = None
        self._standing: Alert | None = None

    def step(self, sample: GpuSample, now: float) -> Transition | None:
        """Take one sample at `now` (seconds since the epoch) and say what changed."""
        temperature_c = sample.temperature_c
        if isinstance(temperature_c, Missing):
            return None
        if self._standing is not None:
            if not temperature_c < self.thresholds.cool_c:
                return None
            cleared = replace(self._standing, cleared_at_s=now)
            self._standing = self._above_since = None
            return Transition(cleared)
        if not temperature_c > self.thresholds.hot_c:
            self._above_since = None
            return None
        if self._above_since is None or now < self._above_since:  # The clock was set back.
            self._above_since = now
        if now - self._above_since < self.thresholds.hold_s - HOLD_SLACK_S:
            return None
        self._standing = Alert(
            kind=AlertKind.HOT,
            uuid=sample.uuid,
            card=sample.label,
            sentence=f"{sample.label} rose to {temperature_c:.0f} °C, above "
            f"{self.thresholds.hot_c:g} °C. Stop the reply or lower the power limit, and see "
            "whether its fans turn and the air can get to them.",
            raised_at_s=now,
        )
        return Transition(self._standing)


class LostRule:
    """A card that has fallen off the bus raises at once and clears when it answers again."""

    def __init__(self) -> None:
        self._standing: Alert | None = None

    def step(self, sample: GpuSample, now: float) -> Transition | None:
        """Take one sample at `now` (seconds since the epoch) and say what changed."""
        if sample.lost and self._standing is None:
            self._standing = Alert(
                kind=AlertKind.LOST,
                uuid=sample.uuid,
                card=sample.label,
                sentence=f"{sample.label} no longer answers: the driver has lost it. Its fans and "
                "temperature are not known. Check its power cables and slot; a reboot is "
                "usually needed.",
                raised_at_s=now,
            )
            return Transition(self._standing)
        blind = sample.temperature_c in (Missing.GPU_LOST, Missing.READ_FAILED)
        if self._standing is not None and not blind:
            cleared = replace(self._standing, cleared_at_s=now)
            self._standing = None
            return Transition(cleared)
        return None


class AlertBook:
    """Every rule for every card, and what stands now."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds or Thresholds()
        self._rules: dict[str, tuple[TemperatureRule, LostRule]] = {}
        self._standing: dict[tuple[AlertKind, str], Alert] = {}

    @property
    def standing(self) -> tuple[Alert, ...]:
        """Alerts in force, oldest first."""
        return tuple(sorted(self._standing.values(), key=lambda alert: alert.raised_at_s))

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Put other thresholds in force for every card, from the next sample on."""
        self._thresholds = thresholds
        for temperature, _lost in self._rules.values():
            temperature.thresholds = thresholds

    def step(self, samples: Iterable[GpuSample], now: float) -> tuple[Transition, ...]:
        """Take one sample of each card at `now` (seconds since the epoch)."""
        changed = []
        for sample in samples:
            rules = self._rules.get(sample.uuid)
            if rules is None:
                rules = self._rules[sample.uuid] = (TemperatureRule(self._thresholds), LostRule())
            for rule in rules:
                transition = rule.step(sample, now)
                if transition is not None:
                    self._note(transition)
                    changed.append(transition)
        return tuple(changed)

    def _note(self, transition: Transition) -> None:
        alert = transition.alert
        if transition.raised:
            self._standing[alert.kind, alert.uuid] = alert
        else:
            self._standing.pop((alert.kind, alert.uuid), None)
