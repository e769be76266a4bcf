# SPDX-License-Identifier: MIT
"""The simulated rig behaves as two warm cards do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rigpanel.rig import open_source
from rigpanel.rig.host import HostReader
from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.rig.simulated import SimulatedRig

HOST = HostReader(Path("/nonexistent"))
SETTLED_S = 900.0
loads = st.floats(0.0, 1.0)


class Rig:
    def __init__(self) -> None:
        self.now = 50.0
        self.rig = SimulatedRig(lambda: self.now, HOST)

    def after(self, seconds: float) -> tuple[GpuSample, ...]:
        self.now += seconds
        return self.rig.read().cards

    def celsius(self, seconds: float, card: int = 1) -> float:
        reading = self.after(seconds)[card].temperature_c
        assert not isinstance(reading, Missing)
        return reading


def settled(prepare: Callable[[SimulatedRig], None], card: int = 1) -> float:
    rig = Rig()
    prepare(rig.rig)
    return rig.celsius(SETTLED_S, card)


def test_it_is_two_bridged_3090s() -> None:
    cards = Rig().after(1.0)
    assert [card.name for card in cards] == ["NVIDIA GeForce RTX 3090"] * 2
    for card, other in zip(cards, reversed(cards), strict=True):
        assert card.memory_total_mib == 24576
        assert (card.power_limit_w, card.power_limit_min_w, card.power_limit_max_w) == (
            350,
            100,
            400,
        )
        assert (card.slowdown_c, card.shutdown_c) == (95, 98)
        assert not isinstance(card.fans, Missing)
        assert [(fan.min_duty_pct, fan.max_duty_pct) for fan in card.fans] == [(30, 100)] * 2
        assert not isinstance(card.nvlink, Missing)
        assert (card.nvlink.links, card.nvlink.version) == (4, "3.1")
        assert card.nvlink.peers == (other.uuid,)


def test_it_is_marked_and_needs_no_hardware() -> None:
    source = open_source(demo=True)
    assert source.simulated
    assert source.read().simulated


def test_the_same_clock_gives_the_same_rig() -> None:
    first, second = Rig(), Rig()
    for seconds in (0.3, 5.0, 11.0, 60.0):
        assert first.after(seconds) == second.after(seconds)


def test_how_often_it_is_read_changes_little() -> None:
    often, seldom = Rig(), Rig()
    for _ in range(600):
        often.after(0.1)
    assert abs(often.celsius(0.0) - seldom.celsius(60.0)) <= 1


def test_idle_cards_are_cool_and_draw_little() -> None:
    rig = Rig()
    rig.rig.set_load((0.0, 0.0))
    for card in rig.after(SETTLED_S):
        assert card.power_draw_w == pytest.approx(25, abs=5)
        assert card.temperature_c == pytest.approx(35, abs=6)


@settings(max_examples=40, deadline=None)
@given(low=loads, high=loads)
def test_more_load_is_never_cooler(low: float, high: float) -> None:
    low, high = sorted((low, high))
    cooler = settled(lambda rig: rig.set_load((low, low)))
    assert cooler <= settled(lambda rig: rig.set_load((high, high)))


@settings(max_examples=40, deadline=None)
@given(load=loads, low=st.floats(0.0, 130.0), high=st.floats(0.0, 130.0))
def test_faster_fans_never_make_it_hotter(load: float, low: float, high: float) -> None:
    low, high = sorted((low, high))

    def held(duty_pct: float) -> Callable[[SimulatedRig], None]:
        def prepare(rig: SimulatedRig) -> None:
            rig.set_load((load, load))
            rig.set_duty(1, duty_pct)

        return prepare

    assert settled(held(high)) <= settled(held(low))


@settings(max_examples=40, deadline=None)
@given(first=loads, second=loads)
def test_no_load_alone_takes_it_past_the_alert(first: float, second: float) -> None:
    rig = Rig()
    rig.rig.set_load((first, second))
    for _ in range(30):
        assert max(rig.celsius(20.0, 0), rig.celsius(0.0, 1)) <= 85


def test_the_ordinary_story_moves_and_stays_below_the_alert() -> None:
    rig = Rig()
    cards = [rig.after(1.0)[1] for _ in range(600)]
    degrees = [card.temperature_c for card in cards if not isinstance(card.temperature_c, Missing)]
    watts = [card.power_draw_w for card in cards if not isinstance(card.power_draw_w, Missing)]
    assert len(degrees) == len(watts) == 600
    assert max(degrees) <= 84
    assert max(degrees) - min(degrees) > 10
    assert min(watts) == pytest.approx(40, abs=20)
    assert max(watts) == pytest.approx(345, abs=10)


def test_heat_takes_one_card_past_the_alert_and_back() -> None:
    rig = Rig()
    rig.rig.set_load((1.0, 1.0))
    rig.after(SETTLED_S)
    rig.rig.heat(1, 160.0)
    assert rig.celsius(SETTLED_S, 1) > 86
    assert rig.celsius(0.0, 0) <= 85
    rig.rig.heat(1, 0.0)
    assert rig.celsius(SETTLED_S, 1) <= 82


def test_the_bottom_card_runs_hotter() -> None:
    rig = Rig()
    rig.rig.set_load((0.9, 0.9))
    rig.after(SETTLED_S)
    assert rig.celsius(0.0, 1) > rig.celsius(0.0, 0)


def test_it_warms_over_a_minute_or_so_not_at_once() -> None:
    rig = Rig()
    rig.rig.set_load((0.0, 0.0))
    cold = rig.celsius(SETTLED_S)
    rig.rig.set_load((1.0, 1.0))
    warm = settled(lambda rig: rig.set_load((1.0, 1.0)))
    assert rig.celsius(3.0) < cold + 0.3 * (warm - cold)
    assert rig.celsius(120.0) > cold + 0.7 * (warm - cold)


def test_fans_follow_the_heat_until_they_are_held() -> None:
    rig = Rig()
    rig.rig.set_load((1.0, 1.0))
    fans = rig.after(SETTLED_S)[1].fans
    assert not isinstance(fans, Missing)
    duty_pct = fans[0].duty_pct
    assert not isinstance(duty_pct, Missing)
    assert (fans[0].policy, duty_pct > 50) == ("auto", True)
    rig.rig.set_duty(1, 100.0)
    fans = rig.after(60.0)[1].fans
    assert not isinstance(fans, Missing)
    assert [(fan.policy, fan.duty_pct, fan.rpm) for fan in fans] == [("manual", 100, 3000)] * 2


def test_energy_is_power_over_time() -> None:
    rig = Rig()
    rig.rig.set_load((0.5, 0.5))
    before, after = rig.after(60.0)[0], rig.after(100.0)[0]
    assert not isinstance(before.energy_j, Missing)
    assert not isinstance(after.energy_j, Missing)
    assert after.energy_j - before.energy_j == pytest.approx(100 * (26 + 0.5 * 324), rel=0.01)
