# SPDX-License-Identifier: MIT
"""What was recorded of one card, cut into stretches without a gap, second by second."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Row: TypeAlias = npt.NDArray[np.float64]

BREAK_S = 10.0
"""A longer pause between two readings is a gap."""
LEAST_STRETCH_S = 60.0


@dataclass(frozen=True, slots=True)
class Recording:
    """Readings in order of time, each array of the shape (n,); a missing one is NaN."""

    time_s: Row
    temperature_c: Row
    power_w: Row
    duty_pct: Row
    others_w: Row
    """What the other cards drew together: their heat is in the air that this card takes in."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which nothing is missing: n seconds, with the temperature at their n + 1 ends."""

    temperature_c: Row
    power_w: Row
    duty_pct: Row
    others_w: Row

    def __len__(self) -> int:
        return len(self.power_w)


def stretches(recording: Recording) -> tuple[Stretch, ...]:
    """Cut a recording where a reading is missing or nobody watched; what is short is left out."""
    rows = (recording.temperature_c, recording.power_w, recording.duty_pct, recording.others_w)
    known = np.logical_and.reduce([np.isfinite(row) for row in rows])
    apart = np.diff(recording.time_s, prepend=recording.time_s[:1]) > BREAK_S
    number = np.cumsum(~known | apart)  # every gap begins another stretch
    found = []
    for part in np.split(np.arange(len(known)), np.flatnonzero(np.diff(number)) + 1):
        times = recording.time_s[part[known[part]]]
        if len(times) and times[-1] - times[0] >= LEAST_STRETCH_S:
            at_c, *others = (row[part[known[part]]] for row in rows)
            grid = np.arange(times[0], times[-1] + 1e-6, 1.0)
            power_w, duty_pct, others_w = (_means(times, row, grid) for row in others)
            found.append(Stretch(np.interp(grid, times, at_c), power_w, duty_pct, others_w))
    return tuple(found)


def _means(times: Row, row: Row, grid: Row) -> Row:
    """Return a row's mean between each two times of the grid."""
    areas = np.concatenate(([0.0], np.cumsum(np.diff(times) * (row[1:] + row[:-1]) / 2)))
    return np.diff(np.interp(grid, times, areas))
