# SPDX-License-Identifier: MIT
"""The sampler: a steady beat on its own thread that no failing source can stop."""

import queue
import threading
from collections.abc import Iterator

import pytest

from rigpanel.rig.readings import RigSnapshot
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.sampler import Sampler
from rigpanel.watch.tick import Tick


class Flaky(SimulatedRig):
    """A rig whose first reading raises, as a broken driver library might."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.closed_on: threading.Thread | None = None

    def read(self) -> RigSnapshot:
        self.reads += 1
        if self.reads == 1:
            raise OSError("broken")
        return super().read()

    def close(self) -> None:
        self.closed_on = threading.current_thread()


@pytest.fixture
def ticks() -> "queue.Queue[Tick]":
    return queue.Queue()


@pytest.fixture
def sampler(ticks: "queue.Queue[Tick]") -> Iterator[Sampler]:
    made = Sampler(SimulatedRig(), AlertBook(), 0.02, ticks.put)
    made.start()
    yield made
    assert made.stop()


def test_it_beats_and_stops(sampler: Sampler, ticks: "queue.Queue[Tick]") -> None:
    first, second = ticks.get(timeout=5), ticks.get(timeout=5)
    assert second.monotonic_s > first.monotonic_s
    assert len(first.snapshot.cards) == 2


def test_thresholds_reach_the_rules(sampler: Sampler, ticks: "queue.Queue[Tick]") -> None:
    sampler.set_thresholds(Thresholds(hot_c=30.0, cool_c=20.0, hold_s=0.0))
    while not (tick := ticks.get(timeout=5)).standing:
        pass
    assert "30 °C" in tick.standing[0].sentence


def test_a_source_that_raises_is_read_again_and_closed_on_its_own_thread(
    ticks: "queue.Queue[Tick]", caplog: pytest.LogCaptureFixture
) -> None:
    source = Flaky()
    made = Sampler(source, AlertBook(), 0.02, ticks.put)
    made.start()
    assert ticks.get(timeout=5).snapshot.simulated
    assert made.stop()
    assert "reading of the rig failed" in caplog.text
    assert source.closed_on is not None
    assert source.closed_on.name == "sampler"
