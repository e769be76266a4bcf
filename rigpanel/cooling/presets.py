# SPDX-License-Identifier: MIT
"""Curves to begin with."""

from rigpanel.cooling.curve import FanCurve

QUIET = FanCurve(((45.0, 30.0), (65.0, 45.0), (76.0, 72.0), (84.0, 100.0)))
BALANCED = FanCurve(((40.0, 30.0), (60.0, 50.0), (72.0, 75.0), (80.0, 95.0), (84.0, 100.0)))
COOL = FanCurve(((35.0, 35.0), (50.0, 55.0), (65.0, 85.0), (72.0, 100.0)))

PRESETS = {"Quiet": QUIET, "Balanced": BALANCED, "Cool": COOL}

BOTTOM_WARMER_C = -6.0
"""A card that breathes its neighbour's warm air does at so much less what the others do."""


def for_bottom_card(curve: FanCurve) -> FanCurve:
    """Return the curve that runs the bottom card stronger than the rest."""
    return curve.shifted(BOTTOM_WARMER_C)
