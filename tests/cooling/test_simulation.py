# SPDX-License-Identifier: MIT
"""The curves to begin with, on the simulated rig's heat: cool enough, and no hunting."""

import itertools
import random

import pytest

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.loop import CoolingLoop
from rigpanel.cooling.presets import BALANCED, PRESETS, for_bottom_card
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.rig.simulated_control import SimulatedControl

BOTTOM = 1


class Bench:
    """The loop over the simulated rig, with a clock that jumps."""

    def __init__(self, curves: tuple[FanCurve, FanCurve]) -> None:
        self.now = 0.0
        self.rig = SimulatedRig(lambda: self.now)
        self.loop = CoolingLoop(SimulatedControl(self.rig), lambda: self.now, lambda: self.now)
        self.loop.hand_back_all()
        for vitals, curve in zip(self.loop.control.read(), curves, strict=True):
            self.loop.set_curves(vitals.uuid, {None: curve})

    def run(self, seconds: int, load: float, wobble: float = 0.0) -> tuple[list[float], list[int]]:
        """Return the bottom card's temperatures and duties, second by second."""
        chance = random.Random(7)  # noqa: S311 - no secrets
        hot, duties = [], []
        for _ in range(seconds):
            shaken = load + chance.uniform(-wobble, wobble)
            self.rig.set_load((shaken, shaken))
            self.now += 1.0
            self.loop.tick()
            bottom = self.loop.vitals[BOTTOM]
            assert isinstance(bottom.temperature_c, float)
            hot.append(bottom.temperature_c)
            hold = self.loop.hold(bottom.uuid, 0)
            assert hold is not None
            duties.append(hold.ordered or 0)
        return hot, duties


def changes(duties: list[int]) -> int:
    return sum(before != after for before, after in itertools.pairwise(duties))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stronger", [False, True])
def test_a_preset_holds_the_bottom_card_at_full_power_below_85(name: str, stronger: bool) -> None:
    curve = PRESETS[name]
    bench = Bench((curve, for_bottom_card(curve) if stronger else curve))
    hot, duties = bench.run(600, 1.0)
    print(f"{name}: {max(hot):.0f} °C at most, {duties[-1]} % at the end")
    assert max(hot) < 85
    settled = duties[360:]
    assert changes(settled) <= 4 * len(settled) / 60
    assert max(hot[360:]) - min(hot[360:]) <= 2


@pytest.mark.parametrize("load", [0.15, 0.35, 0.6, 0.8, 1.0])
def test_it_does_not_hunt_under_a_load_that_trembles(load: float) -> None:
    bench = Bench((BALANCED, BALANCED))
    bench.run(240, load)
    _, duties = bench.run(360, load, wobble=0.06)
    per_minute = [changes(duties[start : start + 60]) for start in range(0, 360, 60)]
    assert max(per_minute) <= 4, per_minute


def test_it_comes_down_again_when_the_load_ends() -> None:
    bench = Bench((BALANCED, BALANCED))
    bench.run(240, 1.0)
    _, duties = bench.run(500, 0.0)
    assert duties[-1] == 30
