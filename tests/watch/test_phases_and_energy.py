# SPDX-License-Identifier: MIT
"""Phases shade the time axis; energy is what the cards' counters say, or is missing."""

from dataclasses import replace

import pytest

from rigpanel.rig.readings import Missing, Reading, RigSnapshot
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.watch.energy import energy_between
from rigpanel.watch.phases import PhaseKind, PhaseLog


def snapshot(*energies_j: Reading[float]) -> RigSnapshot:
    read = SimulatedRig(lambda: 0.0).read()
    return replace(
        read,
        gpus=tuple(replace(g, energy_j=e) for g, e in zip(read.cards, energies_j, strict=True)),
    )


def test_a_phase_ends_where_the_next_begins() -> None:
    log = PhaseLog()
    log.begin(PhaseKind.PREFILL, 1.0)
    log.begin(PhaseKind.DECODE, 3.0)
    assert [(p.kind, p.begin_s, p.end_s) for p in log.since(0.0)] == [
        (PhaseKind.PREFILL, 1.0, 3.0),
        (PhaseKind.DECODE, 3.0, None),
    ]
    log.end(9.0)
    assert [p.begin_s for p in log.since(4.0)] == [3.0]
    assert log.since(9.5) == ()


def test_energy_is_the_sum_over_the_cards() -> None:
    assert energy_between(snapshot(10.0, 20.0), snapshot(15.0, 40.0)) == pytest.approx(25.0)


def test_energy_is_missing_when_one_card_cannot_tell_or_its_counter_went_back() -> None:
    blind = snapshot(10.0, Missing.NOT_SUPPORTED)
    assert energy_between(blind, blind) is Missing.NOT_SUPPORTED
    assert energy_between(snapshot(10.0, 20.0), snapshot(1.0, 40.0)) is Missing.READ_FAILED
