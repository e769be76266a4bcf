# SPDX-License-Identifier: MIT
"""Readings in words: units always, and a word where a reading is missing."""

import enum

from rigpanel.rig.readings import GpuSample, Missing, Reading

WORDS = {
    Missing.NOT_SUPPORTED: "not supported",
    Missing.NO_PERMISSION: "no permission",
    Missing.READ_FAILED: "read failed",
    Missing.GPU_LOST: "GPU lost",
}
WARM_BELOW_HOT_K = 8.0
THERMAL = {"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"}


class CardState(enum.Enum):
    """How a card is, in the word its tile shows."""

    OK = "ok"
    WARM = "warm"
    HOT = "hot"
    THROTTLING = "throttling"
    LOST = "lost"
    UNKNOWN = "unknown"


def card_state(gpu: GpuSample, hot_c: float) -> CardState:
    """Return the state that a person should see first."""
    if gpu.lost:
        return CardState.LOST
    temperature_c = gpu.temperature_c
    if isinstance(temperature_c, Missing):
        return CardState.UNKNOWN
    if temperature_c > hot_c:
        return CardState.HOT
    if not isinstance(gpu.throttle_reasons, Missing) and THERMAL & set(gpu.throttle_reasons):
        return CardState.THROTTLING
    return CardState.WARM if temperature_c > hot_c - WARM_BELOW_HOT_K else CardState.OK


def reading(value: Reading[float] | Reading[int], form: str) -> str:
    """Return `value` in `form`, or the word for why it is missing."""
    return WORDS[value] if isinstance(value, Missing) else form.format(value)


def mean_duty_pct(gpu: GpuSample) -> Reading[float]:
    """Mean duty of the card's fans; NOT_SUPPORTED where there is no fan."""
    if isinstance(gpu.fans, Missing):
        return gpu.fans
    duties = [fan.duty_pct for fan in gpu.fans]
    known = [duty for duty in duties if not isinstance(duty, Missing)]
    if known:
        return sum(known) / len(known)
    return next((duty for duty in duties if isinstance(duty, Missing)), Missing.NOT_SUPPORTED)


def fans(gpu: GpuSample) -> str:
    """Return the fans' duty in words; a card without a fan says so."""
    if not isinstance(gpu.fans, Missing) and not gpu.fans:
        return "no fan"
    return reading(mean_duty_pct(gpu), "{:.0f} %")


def gib(mib: float) -> str:
    """Return MiB as GiB with one decimal."""
    return f"{mib / 1024:.1f} GiB"
