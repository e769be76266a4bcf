# SPDX-License-Identifier: MIT
"""NvmlSource when cards or the driver go and come back: the others are read on."""

import itertools
from dataclasses import fields, replace
from typing import Any

import pytest

from rigpanel.rig.nvml import NvmlSource
from rigpanel.rig.readings import GpuSample, Missing
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    NO_PERMISSION,
    RESET_REQUIRED,
    UNKNOWN,
    VERSION_MISMATCH,
)
from tests.rig.conftest import Clock


def readings(sample: GpuSample) -> dict[str, Any]:
    identity = {"index", "uuid", "name", "pci_bus_id"}
    return {f.name: getattr(sample, f.name) for f in fields(sample) if f.name not in identity}


@pytest.mark.parametrize("error", [GPU_IS_LOST, RESET_REQUIRED])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("handle_given", [True, False])
@pytest.mark.parametrize("index", [0, 1])
def test_a_card_that_is_lost_and_comes_back(
    index: int,
    handle_given: bool,
    listed: bool,
    error: int,
    fake_nvml: FakeRig,
    source: NvmlSource,
    clock: Clock,
) -> None:
    before = source.read().cards
    fake_nvml.lose(index, error=error, listed=listed, handle_given=handle_given)
    for _ in range(60):
        clock.now += 1.0
        cards = source.read().cards
        assert cards[1 - index] == before[1 - index]
        assert set(readings(cards[index]).values()) == {Missing.GPU_LOST}
        assert replace(cards[index], **readings(before[index])) == before[index]
    fake_nvml.bring_back(index)
    fake_nvml.card(index).temperature_c = 51
    for _ in range(31):
        clock.now += 1.0
        cards = source.read().cards
        assert cards[1 - index] == before[1 - index]
    assert cards[index] == replace(before[index], temperature_c=51)


@pytest.mark.parametrize("handle_given", [True, False])
def test_a_lost_card_is_looked_for_less_and_less_often(
    handle_given: bool, fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    source.read()
    fake_nvml.lose(1, handle_given=handle_given)
    starts: list[int] = []
    for second in range(200):
        source.read()
        if len(starts) < fake_nvml.state.inits - 1:
            starts.append(second)
        clock.now += 1.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert set(gaps[5:]) == {30}


def test_a_card_that_answers_nothing_is_looked_for_as_a_lost_one(
    fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    before = source.read().cards
    fake_nvml.lose(1, error=UNKNOWN)
    first, second = source.read().cards
    assert first == before[0]
    assert set(readings(second).values()) == {Missing.READ_FAILED}
    fake_nvml.bring_back(1)
    clock.now += 1.0
    assert source.read().cards == before


def test_a_driver_that_will_not_start_again_keeps_its_cards_listed(
    fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    before = source.read().cards
    fake_nvml.lose(1)
    source.read()
    fake_nvml.state.init_error = VERSION_MISMATCH
    clock.now += 1.0
    snapshot = source.read()
    assert [card.uuid for card in snapshot.cards] == [card.uuid for card in before]
    assert [card.temperature_c for card in snapshot.cards] == [
        Missing.READ_FAILED,
        Missing.GPU_LOST,
    ]
    assert "eboot" in str(snapshot.driver_problem)
    fake_nvml.state.init_error = 0
    fake_nvml.bring_back(1)
    clock.now += 31.0
    snapshot = source.read()
    assert (snapshot.cards, snapshot.driver_problem) == (before, None)


@pytest.mark.parametrize(
    ("error", "why", "word"),
    [
        (VERSION_MISMATCH, Missing.READ_FAILED, "Reboot"),
        (DRIVER_NOT_LOADED, Missing.READ_FAILED, "modprobe"),
        (NO_PERMISSION, Missing.NO_PERMISSION, "/dev/nvidiactl"),
        (UNKNOWN, Missing.READ_FAILED, "dmesg"),
    ],
)
def test_a_driver_that_starts_later_is_picked_up(
    error: int, why: Missing, word: str, fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    fake_nvml.state.init_error = error
    snapshot = source.read()
    assert snapshot.gpus is why
    assert word in str(snapshot.driver_problem)
    assert not isinstance(snapshot.host.memory_total_mib, Missing)
    fake_nvml.state.init_error = 0
    clock.now += 31.0
    snapshot = source.read()
    assert snapshot.driver_problem is None
    assert [card.temperature_c for card in snapshot.cards] == [38, 38]


def test_cards_that_cannot_even_be_counted_are_not_called_none(
    fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    fake_nvml.fail("nvmlDeviceGetCount_v2", UNKNOWN)
    snapshot = source.read()
    assert snapshot.gpus is Missing.READ_FAILED
    assert snapshot.driver_problem is not None
    fake_nvml.mend()
    clock.now += 31.0
    assert len(source.read().cards) == 2


def test_cards_that_appear_after_the_driver_are_found(
    fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    fake_nvml.state.card_count = 0
    assert source.read().gpus == ()
    fake_nvml.state.card_count = 2
    clock.now += 31.0
    assert len(source.read().cards) == 2


def test_a_card_that_tells_its_uuid_only_later_keeps_one_place(
    fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    fake_nvml.fail("nvmlDeviceGetUUID", UNKNOWN, card=1)
    first, second = source.read().cards
    assert first.temperature_c == 38
    assert (second.index, second.name) == (1, "NVIDIA GeForce RTX 3090")
    assert second.temperature_c is Missing.READ_FAILED
    fake_nvml.mend()
    clock.now += 1.0
    assert [card.uuid for card in source.read().cards] == [fake_nvml.uuid(0), fake_nvml.uuid(1)]


def test_a_card_lost_a_second_time_is_looked_for_at_once(
    fake_nvml: FakeRig, source: NvmlSource, clock: Clock
) -> None:
    before = source.read().cards
    fake_nvml.lose(1)
    for _ in range(100):
        source.read()
        clock.now += 1.0
    fake_nvml.bring_back(1)
    clock.now += 31.0
    assert source.read().cards == before
    fake_nvml.lose(1)
    assert source.read().cards[1].lost
    fake_nvml.bring_back(1)
    clock.now += 1.0
    assert source.read().cards == before
