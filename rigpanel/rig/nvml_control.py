# SPDX-License-Identifier: MIT
"""Fans and power limits set through NVML: the only place in rigpanel that sets anything."""

from collections.abc import Callable

import pynvml

from rigpanel.rig.nvml_calls import call
from rigpanel.rig.nvml_vitals import NvmlVitals
from rigpanel.rig.readings import FanSample, Missing
from rigpanel.rig.vitals import CardVitals

USUAL_DUTIES_PCT = (30.0, 100.0)
"""Range of a card whose driver does not tell it: that of RTX 30 cards."""


class NvmlControl(NvmlVitals):
    """Every card of this machine, to be set too: the driver lets only root do that."""

    def set_duty(self, uuid: str, fan: int, duty_pct: int) -> Missing | None:
        """Hold a fan at a duty; the card's range is kept here, whatever the driver would take."""
        card = self.cards.get(uuid)
        if card is None or card.handle is None:
            return Missing.GPU_LOST
        low, high = _duties(card.vitals, fan)
        duty = round(min(max(duty_pct, low), high))
        return _order(pynvml.nvmlDeviceSetFanSpeed_v2, card.handle, fan, duty)

    def set_automatic(self, uuid: str, fan: int) -> Missing | None:
        """Hand a fan back, by its policy where the first way fails."""
        card = self.cards.get(uuid)
        if card is None or card.handle is None:
            return Missing.GPU_LOST
        failed = _order(pynvml.nvmlDeviceSetDefaultFanSpeed_v2, card.handle, fan)
        if failed is None:
            return None
        automatic = pynvml.NVML_FAN_POLICY_TEMPERATURE_CONTINOUS_SW
        other = _order(pynvml.nvmlDeviceSetFanControlPolicy, card.handle, fan, automatic)
        return None if other is None else failed

    def set_power_limit(self, uuid: str, watts: float) -> Missing | None:
        """Set a limit in whole milliwatts.

        WORKAROUND: by the first version of the call; the binding never checks what the second
        returns (nvidia-ml-py 13).
        """
        card = self.cards.get(uuid)
        if card is None or card.handle is None:
            return Missing.GPU_LOST
        return _order(pynvml.nvmlDeviceSetPowerManagementLimit, card.handle, round(watts * 1000))


def _order(function: Callable[..., object], *arguments: object) -> Missing | None:
    """Give an order; None when it was taken."""
    answer = call(function, *arguments)
    return answer if isinstance(answer, Missing) else None


def _duties(vitals: CardVitals | None, fan: int) -> tuple[float, float]:
    """Return the least and the most duty that a fan takes."""
    samples = () if vitals is None else vitals.fan_samples
    sample: FanSample | None = next((each for each in samples if each.fan == fan), None)
    low, high = USUAL_DUTIES_PCT
    if sample is None:
        return low, high
    return (
        low if isinstance(sample.min_duty_pct, Missing) else sample.min_duty_pct,
        high if isinstance(sample.max_duty_pct, Missing) else sample.max_duty_pct,
    )
