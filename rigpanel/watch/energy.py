# SPDX-License-Identifier: MIT
"""Energy taken by the cards between two snapshots, by their own counters."""

from rigpanel.rig.readings import Missing, Reading, RigSnapshot


def energy_between(  # noqa: PLR0911 - a return for each way it cannot be told
    before: RigSnapshot, after: RigSnapshot
) -> Reading[float]:
    """Return the joules all cards took; Missing unless every card's counter tells it.

    A counter that went back (the driver was loaded anew) tells nothing: READ_FAILED.
    """
    if isinstance(before.gpus, Missing):
        return before.gpus
    if isinstance(after.gpus, Missing):
        return after.gpus
    if not after.gpus:
        return Missing.NOT_SUPPORTED
    started = {gpu.uuid: gpu.energy_j for gpu in before.gpus}
    total_j = 0.0
    for gpu in after.gpus:
        first_j = started.get(gpu.uuid, Missing.READ_FAILED)
        if isinstance(gpu.energy_j, Missing):
            return gpu.energy_j
        if isinstance(first_j, Missing):
            return first_j
        if gpu.energy_j < first_j:
            return Missing.READ_FAILED
        total_j += gpu.energy_j - first_j
    return total_j
