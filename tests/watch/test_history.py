# SPDX-License-Identifier: MIT
"""The rings that charts draw from: nothing lost, nothing joined that was not watched."""

import dataclasses
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample, Missing, Reading
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.watch.history import CardHistory, LastReadings, RigHistory, mean_duty_pct
from rigpanel.watch.tick import Tick

readings = st.one_of(st.floats(0, 500, width=32), st.sampled_from(list(Missing)))


def readings_of(value: Reading[float]) -> LastReadings:
    return LastReadings(value, value, value, value)


def tick(at_s: float, *cards: GpuSample, wall_s: float | None = None) -> Tick:
    snapshot = SimulatedRig(lambda: 0.0).read()
    wall_s = at_s if wall_s is None else wall_s
    return Tick(at_s, dataclasses.replace(snapshot, gpus=cards, time_s=wall_s), (), ())


def card(uuid: str = "GPU-a", temperature_c: Reading[float] = 60.0) -> GpuSample:
    sample = SimulatedRig(lambda: 0.0).read().cards[0]
    return dataclasses.replace(sample, uuid=uuid, temperature_c=temperature_c)


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 9),
    values=st.lists(readings, max_size=40),
    since=st.integers(-2, 45),
)
def test_the_ring_holds_what_a_list_would(
    capacity: int, values: list[Reading[float]], since: int
) -> None:
    history = CardHistory(capacity)
    for at_s, value in enumerate(values):
        history.append(float(at_s), readings_of(value))
    kept = list(enumerate(values))[-capacity:]
    expected = [math.nan if isinstance(value, Missing) else value for _, value in kept]
    view = history.all()
    assert len(history) == len(view) == len(kept)
    assert view.time_s.tolist() == [at_s for at_s, _ in kept]
    for column in (view.temperature_c, view.power_w, view.limit_w, view.duty_pct):
        np.testing.assert_array_equal(column, np.array(expected, np.float32))
    part = history.since(since).time_s.tolist()
    before = [at_s for at_s, _ in kept if at_s < since][-1:]
    assert part == before + [at_s for at_s, _ in kept if at_s >= since]
    assert history.last == (readings_of(values[-1]) if values else None)


def test_views_lie_in_the_ring_and_copy_nothing() -> None:
    history = CardHistory(4)
    for at_s in range(7):
        history.append(float(at_s), readings_of(1.0))
    assert history.all().temperature_c.base is not None
    assert np.shares_memory(history.all().time_s, history.since(5.0).time_s)


def test_a_missing_reading_is_a_gap_with_its_reason() -> None:
    history = RigHistory()
    history.append(tick(1.0, card()))
    history.append(tick(2.0, card(temperature_c=Missing.NO_PERMISSION)))
    ring = history.card("GPU-a")
    assert math.isnan(ring.all().temperature_c[-1])
    assert not math.isnan(ring.all().power_w[-1])
    assert ring.last is not None
    assert ring.last.temperature_c is Missing.NO_PERMISSION


def test_a_card_that_is_no_longer_listed_goes_on_with_gaps() -> None:
    history = RigHistory()
    history.append(tick(1.0, card("GPU-a"), card("GPU-b")))
    history.append(tick(2.0, card("GPU-a")))
    lost = history.card("GPU-b")
    assert lost.all().time_s.tolist() == [1.0, 2.0]
    assert math.isnan(lost.all().temperature_c[-1])
    assert lost.last is not None
    assert lost.last.temperature_c is Missing.GPU_LOST
    history.append(tick(3.0, card("GPU-a"), card("GPU-b")))
    assert lost.all().temperature_c[-1] == 60.0


def test_a_card_that_appears_later_gets_its_own_ring() -> None:
    history = RigHistory()
    history.append(tick(1.0, card("GPU-a")))
    history.append(tick(2.0, card("GPU-a"), card("GPU-b")))
    assert len(history.card("GPU-a")) == 2
    assert len(history.card("GPU-b")) == 1
    assert history.now_s == 2.0


def test_a_stand_in_goes_when_the_card_tells_its_uuid() -> None:
    history = RigHistory()
    history.append(tick(1.0, card(UNKNOWN_UUID + "1", Missing.GPU_LOST)))
    history.append(tick(2.0, card("GPU-a")))
    assert len(history.card("GPU-a")) == 1
    assert len(history.card(UNKNOWN_UUID + "1")) == 0


def test_the_line_breaks_where_nobody_watched() -> None:
    for wall_s, at_s in ((63.0, 63.0), (603.0, 4.0)):  # a halt, and a suspend
        history = RigHistory()
        for second in (1.0, 2.0, 3.0):
            history.append(tick(second, card()))
        history.append(tick(at_s, card(), wall_s=wall_s))
        view = history.card("GPU-a").all()
        assert view.time_s.tolist() == [1.0, 2.0, 3.0, 3.0, at_s]
        assert np.isnan(view.temperature_c).tolist() == [False, False, False, True, False]


def test_a_slow_interval_is_no_break() -> None:
    history = RigHistory()
    for place in range(5):
        history.append(tick(place * 10.0, card()))
    assert np.isnan(history.card("GPU-a").all().temperature_c[2:]).sum() <= 1


def test_duty_is_the_mean_of_the_fans_that_can_be_read() -> None:
    sample = card()
    assert not isinstance(sample.fans, Missing)
    first, second = sample.fans
    two = (
        dataclasses.replace(first, duty_pct=40.0),
        dataclasses.replace(second, duty_pct=60.0),
    )
    assert mean_duty_pct(dataclasses.replace(sample, fans=two)) == 50.0
    blind = (dataclasses.replace(first, duty_pct=Missing.READ_FAILED), two[1])
    assert mean_duty_pct(dataclasses.replace(sample, fans=blind)) == 60.0
    assert mean_duty_pct(dataclasses.replace(sample, fans=blind[:1])) is Missing.READ_FAILED
    assert mean_duty_pct(dataclasses.replace(sample, fans=())) is Missing.NOT_SUPPORTED
    lost = dataclasses.replace(sample, fans=Missing.GPU_LOST)
    assert mean_duty_pct(lost) is Missing.GPU_LOST
