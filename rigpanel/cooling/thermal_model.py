# SPDX-License-Identifier: MIT
"""A model of one card's heat, fitted to what was recorded of it; what it says is an estimate.

The cooler is one body, C dT/dt = P - (a + b d)(T - inlet - k W), with the card's watts P, its fans'
duty d and the other cards' watts W; the sensor sits in the die, r P above it. The six figures are
found by least squares (Levenberg and Marquardt) between the recorded temperatures and those that
the model runs through, from the first recorded one on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from rigpanel.cooling.recording import Row, Stretch
from rigpanel.errors import RigpanelError

Figures: TypeAlias = npt.NDArray[np.float64]

LEAST_S = 300.0
LEAST_DUTY_SPREAD_PCT = 8.0
LEAST_SPREAD_C = 6.0
MOST_ERROR_C = 3.0
"""A model that is further off than this is none."""
ROUNDS = 40
ENOUGH = 1e-5
"""A round that makes the sum of squares smaller by less than this share of it is the last."""
NOISE_C = 2.5
"""A reading is off by half a degree and wrong together with those before it: they weigh less."""

BEGIN = np.array((math.log(400.0), math.log(1.5), 6.0, 28.0, 0.015, 0.02))
"""C (log J/K), a (log W/K), b (W/K at full duty), inlet (°C), k and r (K/W): a large card's."""
SPREAD = np.array((0.8, 0.8, 5.0, 8.0, 0.015, 0.04))
"""How far from these cards are thought to be; what is recorded soon outweighs it."""
LOW = np.array((math.log(20.0), math.log(0.05), 0.0, 0.0, 0.0, 0.0))
HIGH = np.array((math.log(5000.0), math.log(20.0), 60.0, 55.0, 0.2, 0.4))


class NoModelError(RigpanelError):
    """What was recorded does not tell how this card is cooled; the text says why."""


@dataclass(frozen=True, slots=True)
class ThermalModel:
    """One card's figures; `error_c` is how far off they are where they were fitted (RMS)."""

    capacity_j_per_k: float
    still_w_per_k: float
    full_w_per_k: float
    """What full duty carries off more than fans that stand still."""
    inlet_c: float
    neighbour_k_per_w: float
    die_k_per_w: float
    error_c: float

    @classmethod
    def of(cls, found: Row, error_c: float) -> Self:
        """Return the model of six figures as they are fitted."""
        capacity, still, full, inlet_c, neighbour, die = found.tolist()
        return cls(math.exp(capacity), math.exp(still), full, inlet_c, neighbour, die, error_c)

    def cooler_c(self, temperature_c: float, power_w: float) -> float:
        """Return the cooler's temperature where the sensor tells the die's."""
        return temperature_c - self.die_k_per_w * power_w

    def temperature_c(self, cooler_c: float, power_w: float) -> float:
        """Return what the sensor tells."""
        return cooler_c + self.die_k_per_w * power_w

    def after_a_second(
        self, cooler_c: float, power_w: float, duty_pct: float, others_w: float
    ) -> float:
        """Return the cooler's temperature a second on."""
        flow = self.still_w_per_k + self.full_w_per_k * duty_pct / 100.0
        settled_c = self.inlet_c + self.neighbour_k_per_w * others_w + power_w / flow
        return settled_c + (cooler_c - settled_c) * math.exp(-flow / self.capacity_j_per_k)


def fit_model(recorded: Sequence[Stretch]) -> ThermalModel:
    """Fit a card's figures to what was recorded; raises NoModelError where that does not tell."""
    _check_enough(recorded)
    target_c = np.concatenate([stretch.temperature_c[1:] for stretch in recorded])
    found, damping = BEGIN, 1e-3
    run_c, slopes = _run_with_slopes(found, recorded)
    cost = _cost(found, target_c - run_c)
    for _ in range(ROUNDS):
        # einsum, not @: that would wake a thread on every core, and those wait for each other.
        normal = np.einsum("ni,nj->ij", slopes, slopes) / NOISE_C**2 + np.diag(SPREAD**-2)
        pull = np.einsum("ni,n->i", slopes, target_c - run_c) / NOISE_C**2
        pull += (BEGIN - found) / SPREAD**2
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), pull)
        tried = np.clip(found + step, LOW, HIGH)
        tried_c = _run(tried[None], recorded)[:, 0]
        tried_cost = _cost(tried, target_c - tried_c)
        if tried_cost >= cost:
            damping *= 8.0
            if damping > 1e6:
                break
            continue
        better = cost - tried_cost
        found, cost, damping = tried, tried_cost, damping / 8.0
        run_c, slopes = _run_with_slopes(found, recorded)
        if better < ENOUGH * cost:
            break
    error_c = math.sqrt(float(np.mean((target_c - run_c) ** 2)))
    if error_c > MOST_ERROR_C:
        raise NoModelError(
            f"no simple model of this card's heat repeats what was recorded (the best is off by "
            f"{error_c:.0f} °C)"
        )
    return ThermalModel.of(found, error_c)


def _check_enough(recorded: Sequence[Stretch]) -> None:
    seconds = sum(len(stretch) for stretch in recorded)
    if seconds < LEAST_S:
        raise NoModelError(
            f"that takes {LEAST_S / 60:.0f} minutes with temperature, watts and fan duty recorded, "
            f"and there are {seconds / 60:.0f}"
        )
    duties = np.concatenate([stretch.duty_pct for stretch in recorded])
    low_pct, high_pct = np.percentile(duties, (2, 98))
    if high_pct - low_pct < LEAST_DUTY_SPREAD_PCT:
        raise NoModelError(
            f"the fans blew {low_pct:.0f} to {high_pct:.0f} % all the time, so what another duty "
            "does to this card is not known"
        )
    low_c, high_c = np.percentile(np.concatenate([s.temperature_c for s in recorded]), (2, 98))
    if high_c - low_c < LEAST_SPREAD_C:
        raise NoModelError(
            f"the card was at {low_c:.0f} to {high_c:.0f} °C all the time, which tells too little "
            "of its cooling"
        )


def _cost(found: Row, missed_c: Row) -> float:
    far = (found - BEGIN) / SPREAD
    return float(np.sum(missed_c**2) / NOISE_C**2 + np.sum(far**2))


def _run_with_slopes(found: Row, recorded: Sequence[Stretch]) -> tuple[Row, Figures]:
    """Return the temperatures run through (n,) and how each figure moves them (n, 6)."""
    nudge = SPREAD * 1e-4
    runs = _run(np.vstack((found, found + np.diag(nudge))), recorded)
    return runs[:, 0], (runs[:, 1:] - runs[:, :1]) / nudge


def _run(tries: Figures, recorded: Sequence[Stretch]) -> Figures:
    """Run models (m, 6) through what was recorded; the temperatures (n, m) after each second."""
    capacity, still = np.exp(tries[:, 0]), np.exp(tries[:, 1])
    full, inlet_c, neighbour, die = tries[:, 2:].T
    runs = []
    for stretch in recorded:
        power_w = stretch.power_w[:, None]
        flow = still + full * stretch.duty_pct[:, None] / 100.0
        settled_c = inlet_c + neighbour * stretch.others_w[:, None] + power_w / flow
        kept = np.exp(-flow / capacity)
        added_c = (1.0 - kept) * settled_c
        added_c[0] += kept[0] * (stretch.temperature_c[0] - die * power_w[0])
        kept[0] = 0.0
        runs.append(_summed(kept, added_c) + die * power_w)
    return np.concatenate(runs)


def _summed(kept: Figures, added: Figures) -> Figures:
    """Return x with x[i] = kept[i] * x[i - 1] + added[i], in log n passes over whole arrays."""
    reach = 1
    while reach < len(kept):
        added[reach:] += kept[reach:] * added[:-reach]
        kept[reach:] = kept[reach:] * kept[:-reach]
        reach *= 2
    return added
