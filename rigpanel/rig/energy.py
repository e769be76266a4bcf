# SPDX-License-Identifier: MIT
"""Energy taken by the cards between two snapshots, by their own counters."""

from dataclasses import dataclass

from rigpanel.rig.readings import Missing, Reading, RigSnapshot


@dataclass(frozen=True, slots=True)
class CardEnergy:
    """The joules one card took, and what it was called then."""

    uuid: str
    name: str
    energy_j: Reading[float]


def energy_by_card(before: RigSnapshot, after: RigSnapshot) -> tuple[CardEnergy, ...]:
    """Return what each card of `after` took since `before`; none where they cannot be listed.

    A counter that went back (the driver was loaded anew) tells nothing: READ_FAILED.
    """
    started = {gpu.uuid: gpu.energy_j for gpu in before.cards}
    return tuple(
        CardEnergy(
            gpu.uuid,
            gpu.label,
            _risen_j(started.get(gpu.uuid, Missing.READ_FAILED), gpu.energy_j),
        )
        for gpu in after.cards
    )


def energy_between(before: RigSnapshot, after: RigSnapshot) -> Reading[float]:
    """Return the joules all cards took; Missing unless every card's counter tells it."""
    for snapshot in (before, after):
        if isinstance(snapshot.gpus, Missing):
            return snapshot.gpus
    return total_j(energy_by_card(before, after))


def total_j(cards: tuple[CardEnergy, ...]) -> Reading[float]:
    """Return the joules of all; Missing unless every card tells, and where there is none."""
    if not cards:
        return Missing.NOT_SUPPORTED
    total = 0.0
    for card in cards:
        if isinstance(card.energy_j, Missing):
            return card.energy_j
        total += card.energy_j
    return total


def _risen_j(first_j: Reading[float], last_j: Reading[float]) -> Reading[float]:
    if isinstance(last_j, Missing):
        return last_j
    if isinstance(first_j, Missing):
        return first_j
    return Missing.READ_FAILED if last_j < first_j else last_j - first_j
