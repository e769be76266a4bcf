# SPDX-License-Identifier: MIT
"""The simulated rig: two RTX 3090s with an NVLink bridge, warmed by load and cooled by fans."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rigpanel.rig.host import HostReader
from rigpanel.rig.readings import (
    FanSample,
    GpuProcess,
    GpuSample,
    NvlinkSample,
    PcieSample,
    RigSnapshot,
)

IDLE_W, LIMIT_W = 26.0, 350.0
LEAST_LIMIT_W, MOST_LIMIT_W = 100.0, 400.0
ROOM_C = 24.0
HEAT_CAPACITY_J_PER_K = 420.0
"""Die, cooler and backplate together: such a card takes one to two minutes to settle."""
STILL_W_PER_K, FAN_W_PER_K = 1.15, 6.6
"""Heat carried off per kelvin above the inlet air: with fans still, and more at full duty."""
NEIGHBOUR_K_PER_W = (0.010, 0.024)
"""How much the other card's watts warm each card's inlet air: the bottom card, 1, gets more."""
AUTO_CURVE = ((35.0, 30.0), (50.0, 38.0), (65.0, 55.0), (75.0, 72.0), (84.0, 100.0))
MIN_DUTY_PCT, MAX_DUTY_PCT, FULL_RPM = 30.0, 100.0, 3000
STEP_S = 0.25
DESKTOP_MIB = 280.0
"""Used by no process that the driver names."""
STORY = (4242, "simulated load", 300.0)
"""Process whose work the story is: its id, its name, and the memory it holds on each card."""
STORY_S = 90.0

UUIDS = ("GPU-5100a7ed-0000-4000-8000-000000003090", "GPU-5100a7ed-0001-4000-8000-000000003090")
BUS_IDS = ("00000000:01:00.0", "00000000:21:00.0")


@dataclass(slots=True)
class _Card:
    temperature_c: float
    power_w: float = IDLE_W
    duty_pct: float = MIN_DUTY_PCT
    energy_j: float = 0.0
    load: float = 0.0
    extra_w: float = 0.0
    manual_pct: float | None = None
    limit_w: float = LIMIT_W


def _story(at_s: float) -> tuple[float, float]:
    """Load of both cards through a rig's ordinary minutes: a prompt is read, a reply written."""
    phase = at_s % STORY_S
    if phase < 12:
        return 0.04, 0.04
    if phase < 17:
        return 0.98, 0.98
    if phase < 70:
        return 0.62 + 0.03 * math.sin(at_s), 0.60 + 0.03 * math.sin(at_s + 1.0)
    return 0.05, 0.05


def _auto_duty(temperature_c: float) -> float:
    points = AUTO_CURVE
    if temperature_c <= points[0][0]:
        return points[0][1]
    for (low_c, low_pct), (high_c, high_pct) in itertools.pairwise(points):
        if temperature_c <= high_c:
            share = (temperature_c - low_c) / (high_c - low_c)
            return low_pct + share * (high_pct - low_pct)
    return points[-1][1]


def _held_back_by(card: _Card) -> tuple[str, ...]:
    if card.load > 0.95 or card.power_w > card.limit_w - 1.0:
        return ("sw_power_cap",)
    return () if card.load > 0.1 else ("gpu_idle",)


class SimulatedRig:
    """Two cards in software; the same clock readings give the same rig."""

    simulated = True

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, host: HostReader | None = None
    ) -> None:
        self._clock = clock
        self._started = clock()
        self._now = self._started
        self._cards = [_Card(36.0), _Card(38.5)]
        self._load: tuple[float, ...] | None = None
        self._held = STORY
        self._host = host or HostReader()

    def set_load(self, loads: Sequence[float] | None) -> None:
        """Load each card to a fraction from 0 to 1 of its power; None returns to the story."""
        self._load = None if loads is None else tuple(min(max(x, 0.0), 1.0) for x in loads)

    def hold(self, pid: int, name: str, held_mib: float) -> None:
        """Have a process hold so much of each card's memory in place of the story's."""
        self._held = (pid, name, held_mib)

    def play_story(self) -> None:
        """Have the story's process on the cards again, and its load."""
        self._held = STORY
        self._load = None

    def heat(self, card: int, watts: float) -> None:
        """Add heat that no load explains to one card, as a failing cooler would."""
        self._cards[card].extra_w = watts

    def set_duty(self, card: int, duty_pct: float | None) -> None:
        """Hold one card's fans at a duty, clamped to their range; None is automatic again."""
        held = None if duty_pct is None else min(max(duty_pct, MIN_DUTY_PCT), MAX_DUTY_PCT)
        self._cards[card].manual_pct = held

    def set_power_limit(self, card: int, watts: float) -> None:
        """Limit one card's power, within what it takes."""
        self._cards[card].limit_w = min(max(watts, LEAST_LIMIT_W), MOST_LIMIT_W)

    def read(self) -> RigSnapshot:
        """Move the model on to the clock's time and read it."""
        self._advance_to(self._clock())
        return RigSnapshot(
            simulated=True,
            time_s=time.time(),
            driver_version="simulated",
            nvml_version="simulated",
            gpus=tuple(self._sample(index) for index in range(len(self._cards))),
            host=self._host.read(),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _advance_to(self, now: float) -> None:
        while self._now < now:
            step_s = min(STEP_S, now - self._now)
            self._now += step_s
            loads = self._load or _story(self._now - self._started)
            for index, card in enumerate(self._cards):
                card.load = loads[index]
                inlet_c = ROOM_C + self._cards[1 - index].power_w * NEIGHBOUR_K_PER_W[index]
                self._step(card, inlet_c, step_s)

    @staticmethod
    def _step(card: _Card, inlet_c: float, step_s: float) -> None:
        target_w = min(IDLE_W + card.load * (LIMIT_W - IDLE_W), card.limit_w)
        card.power_w += (target_w - card.power_w) * min(1.0, step_s / 0.8)
        wanted_pct = card.manual_pct
        if wanted_pct is None:
            wanted_pct = _auto_duty(card.temperature_c)
        card.duty_pct += max(-4.0 * step_s, min(12.0 * step_s, wanted_pct - card.duty_pct))
        conductance = STILL_W_PER_K + FAN_W_PER_K * card.duty_pct / 100.0
        flow_w = card.power_w + card.extra_w - conductance * (card.temperature_c - inlet_c)
        card.temperature_c += flow_w * step_s / HEAT_CAPACITY_J_PER_K
        card.energy_j += card.power_w * step_s

    def _sample(self, index: int) -> GpuSample:
        card = self._cards[index]
        pid, process, held_mib = self._held
        busy = card.load > 0.1
        traffic = 2400.0 * card.load if busy else 0.3
        fans = tuple(
            FanSample(
                fan=fan,
                duty_pct=float(round(card.duty_pct)),
                rpm=round(card.duty_pct / 100.0 * FULL_RPM),
                policy="auto" if card.manual_pct is None else "manual",
                min_duty_pct=MIN_DUTY_PCT,
                max_duty_pct=MAX_DUTY_PCT,
            )
            for fan in range(2)
        )
        return GpuSample(
            index=index,
            uuid=UUIDS[index],
            name="NVIDIA GeForce RTX 3090",
            pci_bus_id=BUS_IDS[index],
            temperature_c=float(round(card.temperature_c)),
            slowdown_c=95.0,
            shutdown_c=98.0,
            power_draw_w=round(card.power_w, 1),
            power_limit_w=card.limit_w,
            power_limit_min_w=LEAST_LIMIT_W,
            power_limit_max_w=MOST_LIMIT_W,
            energy_j=round(card.energy_j, 3),
            utilization_pct=float(round(min(100.0, card.load * 103.0))),
            memory_used_mib=DESKTOP_MIB + held_mib,
            memory_total_mib=24576.0,
            clock_sm_mhz=1695 if busy else 210,
            clock_mem_mhz=9751 if busy else 405,
            throttle_reasons=_held_back_by(card),
            fans=fans,
            pcie=PcieSample(4 if busy else 1, 16, 4, 16, traffic, traffic * 1.1),
            nvlink=NvlinkSample(4, 4, "3.1", (UUIDS[1 - index],)),
            processes=(GpuProcess(pid, process, held_mib),),
        )
