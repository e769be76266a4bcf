# SPDX-License-Identifier: MIT
"""Setting fans and power limits: within the card's range whatever the driver takes, by its UUID."""

import ctypes
from collections.abc import Iterator

import pynvml
import pytest

from rigpanel.rig.nvml_control import NvmlControl
from rigpanel.rig.readings import UNKNOWN_UUID, Missing
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import DRIVER_NOT_LOADED, UNKNOWN, VARIABLE
from tests.rig.conftest import Clock


@pytest.fixture
def control(
    fake_nvml: FakeRig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NvmlControl]:
    monkeypatch.setenv(VARIABLE, str(fake_nvml.path))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(fake_nvml.library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    control = NvmlControl(clock)
    control.read()
    yield control
    control.close()


@pytest.mark.parametrize(("asked", "told"), [(0, 30), (29, 30), (55, 55), (101, 100), (400, 100)])
def test_a_duty_is_kept_within_the_cards_range(
    asked: int, told: int, control: NvmlControl, fake_nvml: FakeRig
) -> None:
    fake_nvml.state.range_unchecked = 1
    assert control.set_duty(fake_nvml.uuid(1), 0, asked) is None
    assert [order.value for order in fake_nvml.orders] == [told]


def test_a_fan_is_handed_back_by_its_policy_where_the_usual_way_fails(
    control: NvmlControl, fake_nvml: FakeRig
) -> None:
    fake_nvml.fail("nvmlDeviceSetDefaultFanSpeed_v2", UNKNOWN)
    control.set_duty(fake_nvml.uuid(0), 1, 60)
    assert control.set_automatic(fake_nvml.uuid(0), 1) is None
    assert fake_nvml.manual_fans == []
    fake_nvml.fail("nvmlDeviceSetFanControlPolicy", UNKNOWN)
    assert control.set_automatic(fake_nvml.uuid(0), 1) is Missing.READ_FAILED


def test_a_refusal_says_why(control: NvmlControl, fake_nvml: FakeRig) -> None:
    fake_nvml.state.setters_allowed = 0
    assert control.set_duty(fake_nvml.uuid(0), 0, 60) is Missing.NO_PERMISSION
    assert control.set_power_limit(fake_nvml.uuid(0), 300) is Missing.NO_PERMISSION
    assert control.set_duty("GPU-none", 0, 60) is Missing.GPU_LOST


def test_a_card_that_lacks_only_its_sensor_is_not_started_anew(
    control: NvmlControl, fake_nvml: FakeRig, clock: Clock
) -> None:
    fake_nvml.fail("nvmlDeviceGetTemperatureV", UNKNOWN, card=0)
    for _ in range(5):
        clock.now += 60
        control.read()
    assert control.starts == 1


def test_a_lost_card_keeps_its_place_and_is_found_by_its_uuid(
    control: NvmlControl, fake_nvml: FakeRig, clock: Clock
) -> None:
    fake_nvml.lose(0)
    first, second = control.read()
    assert (first.uuid, first.temperature_c) == (fake_nvml.uuid(0), Missing.GPU_LOST)
    assert control.set_duty(first.uuid, 0, 60) is Missing.GPU_LOST
    assert second.temperature_c == 38
    fake_nvml.bring_back(0)
    clock.now += 60
    assert [card.temperature_c for card in control.read()] == [38, 38]
    assert control.starts == 2


def test_a_card_lost_from_the_start_is_listed_without_its_name(
    fake_nvml: FakeRig, control: NvmlControl
) -> None:
    control.close()
    fake_nvml.lose(1)
    fresh = NvmlControl()
    assert [card.uuid for card in fresh.read()] == [fake_nvml.uuid(0), f"{UNKNOWN_UUID}1"]
    fresh.close()


def test_a_driver_that_comes_later_is_noticed(
    control: NvmlControl, fake_nvml: FakeRig, clock: Clock
) -> None:
    control.close()
    fake_nvml.state.init_error = DRIVER_NOT_LOADED
    late = NvmlControl(clock)
    assert late.read() == ()
    assert "not loaded" in str(late.problem)
    fake_nvml.state.init_error = 0
    clock.now += 60
    assert len(late.read()) == 2
    assert late.problem is None
    late.close()
