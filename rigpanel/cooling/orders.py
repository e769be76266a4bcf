# SPDX-License-Identifier: MIT
"""The card an order is for, and why a card does not take one, in words."""

from rigpanel.cooling.loop import CoolingLoop
from rigpanel.errors import RigpanelError
from rigpanel.rig.readings import Missing
from rigpanel.rig.vitals import CardVitals


class CoolingError(RigpanelError):
    """An order that cannot be carried out; the text says on which card and what to do."""


def card_to_set(loop: CoolingLoop, uuid: str) -> CardVitals:
    """Return a card that something can be set on; raises CoolingError."""
    loop.read()
    vitals = loop.card(uuid)
    if vitals is None:
        problem = loop.control.problem
        raise CoolingError(problem or f"There is no card {uuid}. `rigpanel gpus` lists them.")
    if vitals.temperature_c is Missing.GPU_LOST:
        raise CoolingError(
            f"GPU {vitals.index} has fallen off the bus, so nothing can be set on it. "
            "Reboot, and look at its power cables and riser."
        )
    return vitals


def refused(vitals: CardVitals, why: Missing, what: str) -> str:
    """Say that a driver does not let something be set, and what may mend that."""
    mend = {
        Missing.NO_PERMISSION: "The helper must run as root.",
        Missing.NOT_SUPPORTED: "Its driver is older than 520, or the card does not offer it.",
        Missing.GPU_LOST: "The card has fallen off the bus.",
        Missing.READ_FAILED: "`dmesg | grep NVRM` may say more.",
    }
    return f"GPU {vitals.index} does not let its {what} be set. {mend[why]}"
