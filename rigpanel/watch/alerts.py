# SPDX-License-Identifier: MIT
"""Alerts: rules that step through samples and say when something starts or stops being wrong."""

import enum
from dataclasses import dataclass
from typing import Protocol

from rigpanel.rig.readings import GpuSample


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
