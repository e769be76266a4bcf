# SPDX-License-Identifier: MIT
"""NvmlSource over the fake driver: what each trouble does to one reading, and to no other."""

import os
from dataclasses import replace
from typing import Any

import pytest

from rigpanel.rig.nvml import NvmlSource
from rigpanel.rig.nvml_card import THROTTLE_REASONS
from rigpanel.rig.readings import GpuProcess, Missing, NvlinkSample
from tests.fakes.nvml import OLD_DRIVER_LACKS, FakeRig
from tests.fakes.nvml.rig import (
    MIB,
    NO_PERMISSION,
    NOT_SUPPORTED,
    UNKNOWN,
)
from tests.rig.conftest import Clock, Open


def test_a_sample_holds_what_the_card_says(fake_nvml: FakeRig, source: NvmlSource) -> None:
    card = fake_nvml.card(1)
    card.temperature_c, card.power_mw, card.limit_mw = 71, 312_400, 340_000
    card.memory_used_bytes, card.utilization_pct = 20339 * MIB, 97
    card.clock_sm_mhz, card.clock_mem_mhz, card.throttle_mask = 1695, 9751, 0x24
    card.fans[1].duty_pct, card.fans[1].rpm, card.fans[1].manual = 61, 1980, 1
    card.pcie_tx_kib_s, card.pcie_rx_kib_s = 12 * 1024, 40 * 1024
    fake_nvml.run_process(1, os.getpid(), 20010)
    fake_nvml.run_process(1, 999_999_999, 10, graphics=True)
    snapshot = source.read()
    first, second = snapshot.cards
    assert (snapshot.driver_version, snapshot.driver_problem) == ("580.65.06", None)
    assert (second.uuid, second.index) == (fake_nvml.uuid(1), 1)
    assert (second.temperature_c, second.power_draw_w, second.power_limit_w) == (71, 312.4, 340)
    assert (second.slowdown_c, second.shutdown_c) == (95, 98)
    assert (second.memory_used_mib, second.memory_total_mib) == (20339, 24576)
    assert second.energy_j == 123456.7
    assert second.throttle_reasons == ("sw_power_cap", "sw_thermal_slowdown")
    assert not isinstance(second.fans, Missing)
    assert [fan.duty_pct for fan in second.fans] == [30, 61]
    assert [fan.rpm for fan in second.fans] == [900, 1980]
    assert [fan.policy for fan in second.fans] == ["auto", "manual"]
    assert not isinstance(second.pcie, Missing)
    assert (second.pcie.tx_mib_s, second.pcie.rx_mib_s) == (12, 40)
    assert second.nvlink == NvlinkSample(4, 4, "3.1", (fake_nvml.uuid(0),))
    assert not isinstance(second.processes, Missing)
    assert [(p.pid, p.memory_mib) for p in second.processes] == [
        (os.getpid(), 20010),
        (999_999_999, 10),
    ]
    assert isinstance(second.processes[0].name, str)
    assert second.processes[1].name is Missing.READ_FAILED
    assert first.temperature_c == 38


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("nvmlDeviceGetTemperatureV", {"temperature_c"}),
        ("nvmlDeviceGetTemperatureThreshold", {"slowdown_c", "shutdown_c"}),
        ("nvmlDeviceGetPowerUsage", {"power_draw_w"}),
        ("nvmlDeviceGetPowerManagementLimit", {"power_limit_w"}),
        (
            "nvmlDeviceGetPowerManagementLimitConstraints",
            {"power_limit_min_w", "power_limit_max_w"},
        ),
        ("nvmlDeviceGetTotalEnergyConsumption", {"energy_j"}),
        ("nvmlDeviceGetUtilizationRates", {"utilization_pct"}),
        ("nvmlDeviceGetMemoryInfo_v2", {"memory_used_mib", "memory_total_mib"}),
        ("nvmlDeviceGetClockInfo", {"clock_sm_mhz", "clock_mem_mhz"}),
        ("nvmlDeviceGetCurrentClocksEventReasons", {"throttle_reasons"}),
        ("nvmlDeviceGetNumFans", {"fans"}),
        ("nvmlDeviceGetNvLinkState", {"nvlink"}),
    ],
)
@pytest.mark.parametrize(
    ("error", "why"), [(NO_PERMISSION, Missing.NO_PERMISSION), (UNKNOWN, Missing.READ_FAILED)]
)
def test_a_call_that_fails_costs_its_own_readings_alone(
    function: str,
    names: set[str],
    error: int,
    why: Missing,
    fake_nvml: FakeRig,
    source: NvmlSource,
) -> None:
    before = source.read().cards
    fake_nvml.fail(function, error, card=1)
    first, second = source.read().cards
    assert first == before[0]
    lacking: dict[str, Any] = dict.fromkeys(names, why)
    assert second == replace(before[1], **lacking)


def test_a_fan_reading_that_fails_leaves_the_fans_other_readings(
    fake_nvml: FakeRig, source: NvmlSource
) -> None:
    for function in ("FanSpeed_v2", "FanSpeedRPM", "FanControlPolicy_v2", "MinMaxFanSpeed"):
        fake_nvml.mend()
        fake_nvml.fail(f"nvmlDeviceGet{function}", UNKNOWN)
        fans = source.read().cards[0].fans
        assert not isinstance(fans, Missing)
        values = [
            (fan.duty_pct, fan.rpm, fan.policy, (fan.min_duty_pct, fan.max_duty_pct))
            for fan in fans
        ]
        bad = ("FanSpeed_v2", "FanSpeedRPM", "FanControlPolicy_v2", "MinMaxFanSpeed").index(
            function
        )
        good: list[Any] = [30, 900, "auto", (30, 100)]
        good[bad] = (Missing.READ_FAILED,) * 2 if bad == 3 else Missing.READ_FAILED
        assert values == [tuple(good)] * 2


@pytest.mark.parametrize("degrees", [65535, 255, 151, -60])
def test_a_temperature_no_card_has_is_not_believed(
    degrees: int, fake_nvml: FakeRig, source: NvmlSource
) -> None:
    fake_nvml.card(0).temperature_c = degrees
    assert source.read().cards[0].temperature_c is Missing.READ_FAILED
    fake_nvml.card(0).temperature_c = 86
    assert source.read().cards[0].temperature_c == 86


def test_figures_the_driver_leaves_blank_are_not_believed(
    fake_nvml: FakeRig, source: NvmlSource
) -> None:
    card = fake_nvml.card(0)
    card.power_mw = card.utilization_pct = card.clock_sm_mhz = 0xFFFFFFFF
    card.fans[0].rpm = 0xFFFF
    sample = source.read().cards[0]
    assert sample.power_draw_w is Missing.READ_FAILED
    assert sample.utilization_pct is Missing.READ_FAILED
    assert sample.clock_sm_mhz is Missing.READ_FAILED
    assert not isinstance(sample.fans, Missing)
    assert [fan.rpm for fan in sample.fans] == [Missing.READ_FAILED, 900]


def test_an_old_driver_is_read_by_its_older_calls(fake_nvml: FakeRig, open_nvml: Open) -> None:
    old = FakeRig(fake_nvml.path, lacks=OLD_DRIVER_LACKS)
    old.card(0).temperature_c = 66
    old.run_process(0, os.getpid(), 100)
    sample = open_nvml(old).read().cards[0]
    assert sample.temperature_c == 66
    assert sample.throttle_reasons == ("gpu_idle",)
    assert sample.memory_used_mib == 710  # the older call counts the driver's reserve as used
    assert not isinstance(sample.processes, Missing)
    assert [process.pid for process in sample.processes] == [os.getpid()]
    assert not isinstance(sample.fans, Missing)
    for fan in sample.fans:
        assert fan.duty_pct == 30
        assert {fan.rpm, fan.policy, fan.min_duty_pct} == {Missing.NOT_SUPPORTED}


def test_limits_the_driver_no_longer_tells_come_from_its_margins(
    fake_nvml: FakeRig, source: NvmlSource
) -> None:
    fake_nvml.fail("nvmlDeviceGetTemperatureThreshold", NOT_SUPPORTED)
    card = fake_nvml.card(0)
    card.temperature_c, card.margin_c = 50, 43
    card.slowdown_tlimit_c, card.shutdown_tlimit_c = -2, -5
    sample = source.read().cards[0]
    assert (sample.slowdown_c, sample.shutdown_c) == (95, 98)
    fake_nvml.fail("nvmlDeviceGetMarginTemperature", NOT_SUPPORTED)
    assert source.read().cards[0].slowdown_c is Missing.NOT_SUPPORTED


@pytest.mark.parametrize(("bit", "name"), THROTTLE_REASONS)
def test_each_throttle_bit_has_its_name(
    bit: int, name: str, fake_nvml: FakeRig, source: NvmlSource
) -> None:
    fake_nvml.card(0).throttle_mask = bit
    assert source.read().cards[0].throttle_reasons == (name,)


def test_a_link_to_a_switch_names_its_address(fake_nvml: FakeRig, source: NvmlSource) -> None:
    card = fake_nvml.card(0)
    card.link_peer[2], card.link_active_mask = -1, 0b0110
    expected = NvlinkSample(4, 2, "3.1", (fake_nvml.uuid(1), "00000000:C1:00.0"))
    assert source.read().cards[0].nvlink == expected


def test_memory_the_driver_will_not_tell_is_missing(fake_nvml: FakeRig, source: NvmlSource) -> None:
    fake_nvml.run_process(0, os.getpid(), 0)
    fake_nvml.card(0).processes[0].memory_bytes = 2**64 - 1
    processes = source.read().cards[0].processes
    assert not isinstance(processes, Missing)
    assert processes[0] == GpuProcess(os.getpid(), processes[0].name, Missing.NOT_SUPPORTED)


def test_slow_readings_are_taken_once_in_their_period(
    fake_nvml: FakeRig, open_nvml: Open, clock: Clock
) -> None:
    source = open_nvml(fake_nvml, slow_period_s=2.0)
    fake_nvml.card(0).pcie_tx_kib_s = 1024
    for _ in range(20):
        sample = source.read().cards[0]
        fake_nvml.card(0).pcie_tx_kib_s = 2048
        clock.now += 0.1
    assert fake_nvml.calls("nvmlDeviceGetPcieThroughput") == 4  # two cards, two directions
    assert not isinstance(sample.pcie, Missing)
    assert sample.pcie.tx_mib_s == 1
    clock.now += 0.1
    pcie = source.read().cards[0].pcie
    assert not isinstance(pcie, Missing)
    assert pcie.tx_mib_s == 2


def test_a_slow_card_is_read_in_full(fake_nvml: FakeRig, source: NvmlSource) -> None:
    quick = source.read().cards
    fake_nvml.card(1).slow_ms = 3
    assert source.read().cards == quick


def test_a_frozen_sensor_holds_no_other_reading(fake_nvml: FakeRig, source: NvmlSource) -> None:
    fake_nvml.freeze_sensor(1)
    fake_nvml.card(1).temperature_c = 90
    fake_nvml.card(1).power_mw = 300_000
    sample = source.read().cards[1]
    assert (sample.temperature_c, sample.power_draw_w) == (38, 300)
