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


class Broken(SimulatedRig):
    """A rig whose every reading raises."""

    def __init__(self) -> None:
        super().__init__()
        self.many = threading.Event()
        self.reads = 0
        self.closed = False

    def read(self) -> RigSnapshot:
        self.reads += 1
        if self.reads == 5:
            self.many.set()
        raise OSError("broken")

    def close(self) -> None:
        self.closed = True


class Hanging(SimulatedRig):
    """A rig whose driver does not return until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def read(self) -> RigSnapshot:
        self.entered.set()
        self.let_go.wait()
        return super().read()


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


def test_a_failure_that_stays_is_logged_once(
    ticks: "queue.Queue[Tick]", caplog: pytest.LogCaptureFixture
) -> None:
    source = Broken()
    made = Sampler(source, AlertBook(), 0.01, ticks.put)
    made.start()
    assert source.many.wait(5)
    assert made.stop()
    assert caplog.text.count("reading of the rig failed") == 1
    assert source.closed


def test_a_shorter_interval_does_not_wait_for_the_longer(ticks: "queue.Queue[Tick]") -> None:
    made = Sampler(SimulatedRig(), AlertBook(), 3600.0, ticks.put)
    made.start()
    ticks.get(timeout=5)
    made.set_interval_s(0.02)
    ticks.get(timeout=5)
    ticks.get(timeout=5)
    assert made.stop()


def test_the_beat_does_not_drift_with_the_time_a_reading_takes(
    ticks: "queue.Queue[Tick]",
) -> None:
    class Slow(SimulatedRig):
        def read(self) -> RigSnapshot:
            threading.Event().wait(0.03)
            return super().read()

    made = Sampler(Slow(), AlertBook(), 0.05, ticks.put)
    made.start()
    times = [ticks.get(timeout=5).monotonic_s for _ in range(21)]
    assert made.stop()
    # 20 beats of 50 ms; were each reading's 30 ms added, it would be 1.6 s.
    assert times[-1] - times[0] < 1.4


def test_missed_beats_are_not_made_up_for(ticks: "queue.Queue[Tick]") -> None:
    source = Hanging()
    made = Sampler(source, AlertBook(), 0.05, ticks.put)
    made.start()
    assert source.entered.wait(5)
    threading.Event().wait(0.5)
    source.let_go.set()
    times = [ticks.get(timeout=5).monotonic_s for _ in range(4)]
    assert made.stop()
    assert times[-1] - times[0] > 0.1


def test_stopping_does_not_wait_for_a_driver_that_hangs(ticks: "queue.Queue[Tick]") -> None:
    source = Hanging()
    made = Sampler(source, AlertBook(), 0.02, ticks.put)
    made.start()
    assert source.entered.wait(5)
    assert not made.stop(timeout_s=0.05)
    source.let_go.set()
    assert made.stop()


def test_one_that_never_started_closes_its_source(ticks: "queue.Queue[Tick]") -> None:
    source = Broken()
    assert Sampler(source, AlertBook(), 1.0, ticks.put).stop()
    assert source.closed
