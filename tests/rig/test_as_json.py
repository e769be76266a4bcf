# SPDX-License-Identifier: MIT
"""Readings as JSON: what is missing is null and says why."""

import json
import math
from dataclasses import replace

import pytest

from rigpanel.rig.as_json import snapshot_as_json, with_missing
from rigpanel.rig.readings import GpuSample, Missing, PcieSample, RigSnapshot
from rigpanel.rig.simulated import SimulatedRig


@pytest.fixture(scope="module")
def snapshot() -> RigSnapshot:
    return SimulatedRig(lambda: 0.0).read()


def with_card(snapshot: RigSnapshot, **readings: object) -> RigSnapshot:
    card: GpuSample = replace(snapshot.cards[0], **readings)  # type: ignore[arg-type]
    return replace(snapshot, gpus=(card,))


@pytest.mark.parametrize("why", Missing)
def test_a_missing_reading_is_null_and_says_why(snapshot: RigSnapshot, why: Missing) -> None:
    card = snapshot_as_json(with_card(snapshot, power_draw_w=why, fans=why))["gpus"][0]
    assert (card["power_draw_w"], card["fans"]) == (None, None)
    assert card["missing"] == {"power_draw_w": why.value, "fans": why.value}


def test_each_level_names_what_it_lacks(snapshot: RigSnapshot) -> None:
    pcie = PcieSample(4, 16, 4, 16, Missing.NOT_SUPPORTED, 3.0)
    shown = snapshot_as_json(
        replace(
            with_card(snapshot, pcie=pcie),
            host=replace(snapshot.host, cpu_power_w=Missing.NO_PERMISSION),
        )
    )
    card = shown["gpus"][0]
    assert card["missing"] == {}
    assert card["pcie"]["missing"] == {"tx_mib_s": "not_supported"}
    assert "missing" not in card["nvlink"]
    assert shown["host"]["missing"] == {"cpu_power_w": "no_permission"}
    assert "missing" not in shown


def test_no_driver_is_told_at_the_top(snapshot: RigSnapshot) -> None:
    why = Missing.NOT_SUPPORTED
    shown = snapshot_as_json(replace(snapshot, gpus=why, driver_version=why, nvml_version=why))
    assert shown["gpus"] is None
    assert shown["missing"] == dict.fromkeys(
        ("driver_version", "nvml_version", "gpus"), "not_supported"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_never_reaches_it(snapshot: RigSnapshot, value: float) -> None:
    shown = snapshot_as_json(with_card(snapshot, energy_j=value))
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["gpus"][0]["missing"] == {"energy_j": "read_failed"}


def test_zero_is_a_reading() -> None:
    assert with_missing({"a": 0.0, "b": ()}) == {"a": 0.0, "b": ()}
