# SPDX-License-Identifier: MIT
"""A curve reckoned through an hour that was recorded under another, against that hour for real."""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from rigpanel.cooling.controller import CoolingSample, DutyRange, FanController
from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.loop import CoolingLoop
from rigpanel.cooling.presets import BALANCED, QUIET
from rigpanel.cooling.preview import Candidate, CurvePreview, estimate, preview
from rigpanel.cooling.recording import Recording, stretches
from rigpanel.cooling.thermal_model import NoModelError, fit_model
from rigpanel.rig.readings import GpuSample
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.rig.simulated_control import SimulatedControl
from rigpanel.watch.history import mean_duty_pct

HOUR_S = 3600
HOT_C = 85.0
POINTS = ((40.0, 30.0), (60.0, 50.0), (80.0, 90.0))
LAZY = FanCurve(((40, 30), (70, 40), (86, 62), (89, 80)))
"""Too little air: an air-cooled card under load goes above 85 °C with it."""


def candidate(curve: FanCurve) -> Candidate:
    return Candidate(curve, DutyRange(), 95.0, HOT_C)


def loads(seed: int) -> Iterator[float]:
    """A rig's hour: minutes of work and of rest, second by second."""
    chance = random.Random(seed)  # noqa: S311 - no secrets
    while True:
        load = chance.choice((0.05, 0.3, 0.6, 0.8, 1.0, 1.0))
        for _ in range(chance.randrange(20, 300)):
            yield min(max(load + chance.uniform(-0.05, 0.05), 0.0), 1.0)


@cache
def simulated_hour(curve: FanCurve) -> Recording:
    """Record the bottom card of the simulated rig, whose fans the helper's own loop turns."""
    now = 0.0
    rig = SimulatedRig(lambda: now)
    cards: tuple[GpuSample, ...] = ()
    loop = CoolingLoop(SimulatedControl(rig, lambda: cards), lambda: now, lambda: now)
    rows = []
    for load in itertools.islice(loads(1), HOUR_S):
        rig.set_load((load, load))
        now += 1.0
        cards = rig.read().cards
        if now == 1.0:
            loop.hand_back_all()
            loop.control.read()
            loop.set_curves(cards[1].uuid, {None: curve})
        loop.tick()
        other_w = cards[0].power_draw_w
        rows.append(
            (now, cards[1].temperature_c, cards[1].power_draw_w, mean_duty_pct(cards[1]), other_w)
        )
    return Recording(*np.array(rows, np.float64).T)


@dataclass
class LaggingCard:
    """Another physics than the model's: a die that lags its cooler, air that is not linear."""

    cooler_c: float = 40.0
    die_c: float = 40.0
    duty_pct: float = 30.0

    def second(self, power_w: float) -> None:
        for _ in range(4):
            flow = 0.9 + 7.5 * (self.duty_pct / 100) ** 0.75
            self.cooler_c += 0.25 * (power_w - flow * (self.cooler_c - 27.0)) / 460.0
            self.die_c += 0.25 * (self.cooler_c + 0.035 * power_w - self.die_c) / 2.0


@cache
def lagging_hour(curve: FanCurve) -> Recording:
    """Record a card that the model does not describe exactly, as no real card is."""
    card, controller = LaggingCard(), FanController(curve, DutyRange())
    rows = []
    for second, load in enumerate(itertools.islice(loads(1), HOUR_S)):
        power_w = 26.0 + 324.0 * load
        card.second(power_w)
        at_c = float(math.floor(card.die_c))
        rows.append((float(second), at_c, power_w, card.duty_pct, 0.0))
        sample = CoolingSample(at_c, power_w, 95.0)
        card.duty_pct = float(controller.step(sample, float(second)).duty_pct or 0)
    return Recording(*np.array(rows, np.float64).T)


def hot_s(recorded: Recording) -> float:
    return float(np.sum(recorded.temperature_c > HOT_C))


@pytest.mark.parametrize(
    ("hour", "before", "after"),
    [
        (simulated_hour, LAZY, BALANCED),
        (simulated_hour, BALANCED, LAZY),
        (lagging_hour, LAZY, QUIET),
        (lagging_hour, BALANCED, LAZY),
    ],
)
def test_what_another_curve_would_have_done_is_what_it_does(
    hour: Callable[[FanCurve], Recording], before: FanCurve, after: FanCurve
) -> None:
    recorded, real = stretches(hour(before)), hour(after)
    model = fit_model(recorded)
    found = estimate(candidate(after), recorded, model)
    print(model)
    print(f"above 85 °C {found.hot_s:.0f} s {found.hot_between_s}, for real {hot_s(real):.0f} s")
    print(f"mean {found.mean_pct:.1f} %, for real {real.duty_pct.mean():.1f} %")
    print(f"peak {found.peak_c:.1f} °C, for real {real.temperature_c.max():.0f} °C")
    print(f"changes {found.changes}, for real {np.count_nonzero(np.diff(real.duty_pct))}")
    assert model.error_c < 1.5
    assert found.hot_s == pytest.approx(hot_s(real), abs=60)
    assert found.mean_pct == pytest.approx(real.duty_pct.mean(), abs=3)
    assert found.peak_c == pytest.approx(real.temperature_c.max(), abs=2)
    assert found.recorded_mean_pct == pytest.approx(hour(before).duty_pct.mean(), abs=0.2)


def test_the_cards_slowdown_threshold_is_kept_in_mind() -> None:
    recorded = stretches(simulated_hour(LAZY))
    model = fit_model(recorded)
    usual = estimate(candidate(LAZY), recorded, model)
    early = estimate(replace(candidate(LAZY), slowdown_c=80.0), recorded, model)
    assert early.mean_pct > usual.mean_pct + 1
    assert early.hot_s < usual.hot_s


def steady(**changed: npt.ArrayLike) -> Recording:
    """Twenty minutes of a card whose load comes and goes."""
    time_s = np.arange(1200.0)
    busy = (time_s % 400 < 200).astype(np.float64)
    rows: dict[str, npt.ArrayLike] = {
        "time_s": time_s,
        "temperature_c": 50.0 + 20.0 * busy,
        "power_w": 50.0 + 250.0 * busy,
        "duty_pct": 40.0 + 30.0 * busy,
        "others_w": 0.0,
    }
    rows.update(changed)
    return Recording(**{name: np.full(1200, value, np.float64) for name, value in rows.items()})


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        (
            steady(power_w=math.nan),
            "with temperature, watts and fan duty recorded, and there are 0",
        ),
        (steady(duty_pct=math.nan), "there are 0"),
        (steady(duty_pct=45.0), "the fans blew 45 to 45 % all the time"),
        (steady(temperature_c=61.0), "the card was at 61 to 61 °C all the time"),
        (steady(temperature_c=60 + 20 * np.sin(np.arange(1200) / 50)), "off by 1. °C"),
    ],
)
def test_what_was_recorded_may_not_tell_and_then_it_says_why(recorded: Recording, why: str) -> None:
    with pytest.raises(NoModelError, match=why):
        fit_model(stretches(recorded))


def test_gaps_are_not_bridged() -> None:
    recorded = steady()
    lost = recorded.temperature_c.copy()
    lost[500:530] = math.nan
    lost[560] = math.nan
    found = stretches(replace(recorded, temperature_c=lost))
    assert [len(stretch) for stretch in found] == [499, 638]
    watched = recorded.time_s + np.where(np.arange(1200) < 600, 0.0, 4000.0)
    assert [len(stretch) for stretch in stretches(replace(recorded, time_s=watched))] == [599, 599]
    few = Recording(*(np.repeat(row, 10) for row in (np.arange(100.0), *[np.ones(100)] * 4)))
    assert [len(stretch) for stretch in stretches(few)] == [99]


def test_a_curve_that_leaves_the_fans_to_the_card_is_not_reckoned() -> None:
    recorded = stretches(simulated_hour(LAZY))
    leaving = replace(BALANCED, auto_below_c=45.0)
    with pytest.raises(NoModelError, match="below 45 °C this curve leaves the fans to the card"):
        estimate(candidate(leaving), recorded, fit_model(recorded))


def laid_over(
    curve: FanCurve, time_s: list[float], at_c: list[float], duty_pct: list[float]
) -> CurvePreview | None:
    rows = (time_s, at_c, [math.nan] * len(time_s), duty_pct, [0.0] * len(time_s))
    return preview(candidate(curve), Recording(*np.array(rows)))


def test_a_preview_says_what_a_curve_would_have_blown() -> None:
    times = [float(second) for second in range(600)]
    temperatures = [70.0] * 300 + [87.0] * 60 + [70.0] * 240
    found = laid_over(FanCurve(POINTS), times, temperatures, [55.0] * 600)
    assert found is not None
    assert found.span_s == pytest.approx(599)
    assert found.hot_s == pytest.approx(60)
    assert found.recorded_mean_pct == pytest.approx(55)
    assert found.hot_mean_pct == pytest.approx(90)
    assert 70 < found.mean_pct < 75
    assert 2 <= found.changes <= 8


def test_a_preview_passes_over_what_was_not_recorded() -> None:
    assert laid_over(BALANCED, [0.0, 1.0], [math.nan, math.nan], [30.0, 30.0]) is None
    times = [0.0, 1.0, 2.0, 5000.0, 5001.0]
    found = laid_over(BALANCED, times, [60.0] * 5, [math.nan] * 5)
    assert found is not None
    assert (found.span_s, found.recorded_mean_pct) == (13.0, None)
