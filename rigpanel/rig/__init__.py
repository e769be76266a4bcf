# SPDX-License-Identifier: MIT
"""The rig: cards, their links and the host, as readings from a source."""

from rigpanel.rig.source import RigSource


def open_source(*, demo: bool, slow_period_s: float = 0.0) -> RigSource:
    """Return the simulated rig or this machine's; see NvmlSource for `slow_period_s`."""
    if demo:
        from rigpanel.rig.simulated import SimulatedRig

        return SimulatedRig()
    from rigpanel.rig.nvml import NvmlSource

    return NvmlSource(slow_period_s)
