# SPDX-License-Identifier: MIT
"""What keeping a card cool needs to know of it, and what can be set on it."""

from dataclasses import dataclass
from typing import Protocol

from rigpanel.rig.readings import FanSample, Missing, Reading


@dataclass(frozen=True, slots=True)
class CardVitals:
    """One card at one tick, as far as its fans and its power limit are concerned."""

    index: int
    uuid: str
    name: Reading[str]
    pci_bus_id: Reading[str]
    temperature_c: Reading[float]
    slowdown_c: Reading[float]
    power_draw_w: Reading[float]
    power_limit_w: Reading[float]
    power_limit_min_w: Reading[float]
    power_limit_max_w: Reading[float]
    power_limit_default_w: Reading[float]
    fans: Reading[tuple[FanSample, ...]]
    targets_pct: tuple[Reading[float], ...]
    """The duty each fan was told, in the order of `fans`."""

    @property
    def fan_samples(self) -> tuple[FanSample, ...]:
        """The fans, none where they could not be listed."""
        return () if isinstance(self.fans, Missing) else self.fans


class CoolingControl(Protocol):
    """Cards whose fans and power limits can be set; used from one thread.

    A setter returns None once the driver has taken the order, else why it did not. An order
    taken is not an order obeyed: read it back.
    """

    @property
    def simulated(self) -> bool:
        """Whether these cards exist only in software."""
        ...

    @property
    def problem(self) -> str | None:
        """What is wrong with the driver as a whole and what to do, a sentence, or None."""
        ...

    @property
    def missing(self) -> Missing | None:
        """Why no card can be listed, None where they can."""
        ...

    @property
    def starts(self) -> int:
        """How often the driver was started: what was ordered before may be forgotten since."""
        ...

    def read(self) -> tuple[CardVitals, ...]:
        """Read every card once; never raises for hardware or driver."""
        ...

    def restart(self) -> None:
        """Let go of the driver and find every card anew at the next read."""
        ...

    def set_duty(self, uuid: str, fan: int, duty_pct: int) -> Missing | None:
        """Hold a fan at a duty, clamped to what the card takes."""
        ...

    def set_automatic(self, uuid: str, fan: int) -> Missing | None:
        """Hand a fan back to the card's own control."""
        ...

    def set_power_limit(self, uuid: str, watts: float) -> Missing | None:
        """Set a card's power limit."""
        ...

    def close(self) -> None:
        """Let go of the driver; nothing is handed back by this."""
        ...
