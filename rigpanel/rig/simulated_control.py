# SPDX-License-Identifier: MIT
"""Fans and power limits of the simulated rig, set as a real card's are."""

from collections.abc import Callable

from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.rig.simulated import LIMIT_W, MAX_DUTY_PCT, MIN_DUTY_PCT, SimulatedRig
from rigpanel.rig.vitals import CardVitals


class SimulatedControl:
    """The simulated rig's cards, to be read and set."""

    simulated = True
    problem = None
    missing = None
    starts = 1

    def __init__(
        self,
        rig: SimulatedRig | None = None,
        cards: Callable[[], tuple[GpuSample, ...]] | None = None,
    ) -> None:
        """Read through `cards` where somebody else already reads the rig."""
        self._rig = rig or SimulatedRig()
        self._cards = cards or (lambda: self._rig.read().cards)
        self._told_pct: dict[str, float] = {}
        self._limits_w: dict[str, float] = {}
        self._uuids: list[str] = []

    def read(self) -> tuple[CardVitals, ...]:
        """Read every card once."""
        cards = self._cards()
        self._uuids = [card.uuid for card in cards]
        return tuple(self._vitals(card) for card in cards)

    def restart(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    def set_duty(self, uuid: str, fan: int, duty_pct: int) -> Missing | None:  # noqa: ARG002
        """Hold a card's fans, which turn together here."""
        if uuid not in self._uuids:
            return Missing.GPU_LOST
        self._told_pct[uuid] = min(max(float(duty_pct), MIN_DUTY_PCT), MAX_DUTY_PCT)
        self._rig.set_duty(self._uuids.index(uuid), self._told_pct[uuid])
        return None

    def set_automatic(self, uuid: str, fan: int) -> Missing | None:  # noqa: ARG002
        """Hand a card's fans back."""
        if uuid not in self._uuids:
            return Missing.GPU_LOST
        self._told_pct.pop(uuid, None)
        self._rig.set_duty(self._uuids.index(uuid), None)
        return None

    def set_power_limit(self, uuid: str, watts: float) -> Missing | None:
        """Set a card's power limit."""
        if uuid not in self._uuids:
            return Missing.GPU_LOST
        self._rig.set_power_limit(self._uuids.index(uuid), watts)
        self._limits_w[uuid] = watts
        return None

    def _vitals(self, card: GpuSample) -> CardVitals:
        fans = () if isinstance(card.fans, Missing) else card.fans
        return CardVitals(
            index=card.index,
            uuid=card.uuid,
            name=card.name,
            pci_bus_id=card.pci_bus_id,
            temperature_c=card.temperature_c,
            slowdown_c=card.slowdown_c,
            power_draw_w=card.power_draw_w,
            # What was set just now, though `cards` may have read the rig before it.
            power_limit_w=self._limits_w.get(card.uuid, card.power_limit_w),
            power_limit_min_w=card.power_limit_min_w,
            power_limit_max_w=card.power_limit_max_w,
            power_limit_default_w=LIMIT_W,
            fans=card.fans,
            targets_pct=tuple(self._told_pct.get(card.uuid, fan.duty_pct) for fan in fans),
        )
