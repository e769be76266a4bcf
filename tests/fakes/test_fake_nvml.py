# SPDX-License-Identifier: MIT
"""The fake driver answers the real binding as a driver does, to setters too."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.nvml import FakeRig, Order
from tests.fakes.nvml.rig import INVALID_ARGUMENT, NO_PERMISSION, SUCCESS, UNKNOWN

TOP = Path(__file__).parents[2]


def pynvml(rig: FakeRig, *lines: str) -> str:
    """Run lines in a process of their own, `n` being pynvml and `h` the cards; say its outcome."""
    script = [
        "import pynvml as n",
        "n.nvmlInit()",
        "h = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]",
        *lines,
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)],
        env=rig.env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.splitlines()[-1]


def test_a_duty_that_was_set_outlives_its_process(fake_nvml: FakeRig) -> None:
    pynvml(fake_nvml, "n.nvmlDeviceSetFanSpeed_v2(h[1], 0, 70)")
    seen = pynvml(
        fake_nvml,
        "f = n.c_uint()",
        "n.nvmlDeviceGetFanControlPolicy_v2(h[1], 0, n.byref(f))",
        "print(n.nvmlDeviceGetFanSpeed_v2(h[1], 0), n.nvmlDeviceGetTargetFanSpeed(h[1], 0),"
        " f.value, n.nvmlDeviceGetFanSpeedRPM(h[1]), n.nvmlDeviceGetFanSpeed_v2(h[1], 1))",
    )
    assert seen == "70 70 1 2100 30"
    pynvml(fake_nvml, "n.nvmlDeviceSetDefaultFanSpeed_v2(h[1], 0)")
    fan = fake_nvml.card(1).fans[0]
    assert (fan.manual, fan.duty_pct) == (0, 30)
    assert fake_nvml.orders == [
        Order("nvmlDeviceSetFanSpeed_v2", 1, 0, 70, SUCCESS),
        Order("nvmlDeviceSetDefaultFanSpeed_v2", 1, 0, -1, SUCCESS),
    ]


def test_a_policy_can_be_set_by_itself(fake_nvml: FakeRig) -> None:
    fake_nvml.card(0).fans[1].auto_pct = 44
    pynvml(fake_nvml, "n.nvmlDeviceSetFanControlPolicy(h[0], 1, n.NVML_FAN_POLICY_MANUAL)")
    assert fake_nvml.card(0).fans[1].manual == 1
    pynvml(fake_nvml, "n.nvmlDeviceSetFanControlPolicy(h[0], 1, 0)")
    assert (fake_nvml.card(0).fans[1].manual, fake_nvml.card(0).fans[1].duty_pct) == (0, 44)


def test_a_power_limit_stays_within_the_cards_range(fake_nvml: FakeRig) -> None:
    assert pynvml(fake_nvml, "n.nvmlDeviceSetPowerManagementLimit(h[0], 280000)") == ""
    assert "Invalid Argument" in pynvml(
        fake_nvml, "n.nvmlDeviceSetPowerManagementLimit(h[0], 450000)"
    )
    assert (fake_nvml.card(0).limit_mw, fake_nvml.card(1).limit_mw) == (280_000, 350_000)


@pytest.mark.parametrize("duty", [0, 29, 101])
def test_a_duty_out_of_range_is_refused_unless_the_driver_is_careless(
    duty: int, fake_nvml: FakeRig
) -> None:
    order = f"n.nvmlDeviceSetFanSpeed_v2(h[0], 0, {duty})"
    assert "Invalid Argument" in pynvml(fake_nvml, order)
    assert fake_nvml.card(0).fans[0].manual == 0
    fake_nvml.state.range_unchecked = 1
    assert pynvml(fake_nvml, order) == ""
    assert fake_nvml.card(0).fans[0].duty_pct == duty
    assert [done.status for done in fake_nvml.orders] == [INVALID_ARGUMENT, SUCCESS]


def test_setters_are_refused_to_who_is_not_root(fake_nvml: FakeRig) -> None:
    fake_nvml.state.setters_allowed = 0
    for order in (
        "SetFanSpeed_v2(h[0], 0, 50)",
        "SetDefaultFanSpeed_v2(h[0], 0)",
        "SetFanControlPolicy(h[0], 0, 1)",
        "SetPowerManagementLimit(h[0], 300000)",
    ):
        assert "Insufficient Permissions" in pynvml(fake_nvml, f"n.nvmlDevice{order}")
    assert {order.status for order in fake_nvml.orders} == {NO_PERMISSION}
    assert (fake_nvml.card(0).limit_mw, fake_nvml.card(0).fans[0].manual) == (350_000, 0)


def test_a_deaf_fan_takes_orders_and_obeys_none(fake_nvml: FakeRig) -> None:
    fake_nvml.card(0).fans[0].deaf = 1
    assert pynvml(fake_nvml, "n.nvmlDeviceSetFanSpeed_v2(h[0], 0, 90)") == ""
    assert fake_nvml.card(0).fans[0].duty_pct == 30


def test_a_function_can_fail_after_some_calls(fake_nvml: FakeRig) -> None:
    fake_nvml.fail("nvmlDeviceGetPowerUsage", UNKNOWN, card=0, after=2)
    calls = "n.nvmlDeviceGetPowerUsage(h[0])"
    assert pynvml(fake_nvml, f"print({calls}, {calls})") == "25300 25300"
    assert "Unknown Error" in pynvml(fake_nvml, calls)
    assert fake_nvml.calls("nvmlDeviceGetPowerUsage") == 3


def test_a_handle_from_before_a_loss_stays_dead_until_nvml_is_started_anew(
    fake_nvml: FakeRig,
) -> None:
    seen = pynvml(
        fake_nvml,
        "from pathlib import Path",
        "from tests.fakes.nvml import FakeRig",
        f"rig = FakeRig(Path({str(fake_nvml.path)!r}))",
        "rig.lose(1); rig.bring_back(1)",
        "def tell(call):",
        "    try: print(call())",
        "    except n.NVMLError as error: print(error)",
        "tell(lambda: n.nvmlDeviceGetTemperature(h[1], 0))",
        "tell(lambda: n.nvmlDeviceGetHandleByIndex(1))",
        "n.nvmlShutdown(); n.nvmlInit()",
        "tell(lambda: n.nvmlDeviceGetTemperature(h[1], 0))",
        "h[1] = n.nvmlDeviceGetHandleByIndex(1)",
        "tell(lambda: n.nvmlDeviceGetTemperature(h[1], 0))",
    )
    assert seen.splitlines() == ["GPU is lost", "GPU is lost", "Invalid Argument", "38"]


def test_a_card_is_found_by_its_names(fake_nvml: FakeRig) -> None:
    seen = pynvml(
        fake_nvml,
        f"card = n.nvmlDeviceGetHandleByUUID({fake_nvml.card(1).uuid!r})",
        "print(n.nvmlDeviceGetIndex(card))",
        "print(n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByPciBusId(b'00000000:01:00.0')))",
    )
    assert seen.split() == ["1", "0"]


def test_it_can_be_used_from_a_shell(tmp_path: Path) -> None:
    rig, python = shlex.quote(str(tmp_path / "rig")), shlex.quote(sys.executable)
    script = f"""
        shown=$({python} -m tests.fakes.nvml new {rig})
        eval "$shown"
        {python} -m tests.fakes.nvml poke {rig} 1 temperature_c=86
        {python} -m tests.fakes.nvml lose {rig} 0
        {python} -m tests.fakes.nvml bring-back {rig} 0
        {python} -m rigpanel gpus
    """
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, first, second, _ = done.stdout.splitlines()
    assert ("38 °C" in first, "86 °C" in second) == (True, True)
