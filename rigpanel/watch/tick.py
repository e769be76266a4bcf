# SPDX-License-Identifier: MIT
"""What the sampler thread hands out after each reading of the rig."""

from dataclasses import dataclass

from rigpanel.rig.readings import RigSnapshot
from rigpanel.watch.alerts import Alert, Transition


@dataclass(frozen=True, slots=True)
class Tick:
    """One reading of the rig and what it changed."""

    monotonic_s: float
    """When it was read, by the clock that never goes back (`time.monotonic`)."""
    snapshot: RigSnapshot
    transitions: tuple[Transition, ...]
    standing: tuple[Alert, ...]
    """Alerts in force after this tick, oldest first."""
