# SPDX-License-Identifier: MIT
"""Energy is what the cards' counters say, or is missing."""

from dataclasses import replace

import pytest

from rigpanel.rig.energy import energy_between, energy_by_card
from rigpanel.rig.readings import Missing, Reading, RigSnapshot
from rigpanel.rig.simulated import SimulatedRig


def snapshot(*energies_j: Reading[float]) -> RigSnapshot:
    read = SimulatedRig(lambda: 0.0).read()
    return replace(
        read,
        gpus=tuple(replace(g, energy_j=e) for g, e in zip(read.cards, energies_j, strict=True)),
    )


def test_energy_is_the_sum_over_the_cards() -> None:
    assert energy_between(snapshot(10.0, 20.0), snapshot(15.0, 40.0)) == pytest.approx(25.0)


def test_energy_is_missing_when_one_card_cannot_tell_or_its_counter_went_back() -> None:
    blind = snapshot(10.0, Missing.NOT_SUPPORTED)
    assert energy_between(blind, blind) is Missing.NOT_SUPPORTED
    assert energy_between(snapshot(10.0, 20.0), snapshot(1.0, 40.0)) is Missing.READ_FAILED


def test_each_card_tells_its_own_energy_under_its_name() -> None:
    first, second = energy_by_card(snapshot(10.0, 20.0), snapshot(12.5, Missing.GPU_LOST))
    assert (first.name, first.energy_j) == ("GPU 0 · RTX 3090", 2.5)
    assert (second.name, second.energy_j) == ("GPU 1 · RTX 3090", Missing.GPU_LOST)
    assert first.uuid != second.uuid


def test_energy_is_missing_without_cards_or_without_a_driver() -> None:
    rig = snapshot(10.0, 20.0)
    for gone, why in (((), Missing.NOT_SUPPORTED), (Missing.NO_PERMISSION, Missing.NO_PERMISSION)):
        blind = replace(rig, gpus=gone)
        assert energy_between(rig, blind) is why
        assert energy_by_card(rig, blind) == ()


def test_a_card_that_came_later_has_no_energy_yet() -> None:
    rig = snapshot(10.0, 20.0)
    (_, second) = energy_by_card(replace(rig, gpus=rig.cards[:1]), rig)
    assert second.energy_j is Missing.READ_FAILED
