# SPDX-License-Identifier: MIT
"""The cards that the helper cools: the one way from here to what sets them."""

from rigpanel.rig.vitals import CoolingControl


def open_control() -> CoolingControl:
    """Return this machine's cards, to be read and set; the driver is started at the first read."""
    from rigpanel.rig.nvml_control import NvmlControl

    return NvmlControl()
