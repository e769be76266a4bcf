# SPDX-License-Identifier: MIT
"""Readings in words: units always, and a word where a reading is missing."""

import enum

from rigpanel.rig.readings import GpuSample, HostSample, Missing, Reading
from rigpanel.watch.history import mean_duty_pct

WORDS = {
    Missing.NOT_SUPPORTED: "not supported",
    Missing.NO_PERMISSION: "no permission",
    Missing.READ_FAILED: "read failed",
    Missing.GPU_LOST: "GPU lost",
}
NO_FAN = "no fan"
MIB_A_GIB = 1024.0
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


def of_whole(part: Reading[float], whole: Reading[float], unit: str, scale: float = 1.0) -> str:
    """Return `312 / 350 W`, as much of it as is known; the values are divided by `scale`."""
    if isinstance(part, Missing):
        return WORDS[part]
    places = 1 if scale != 1.0 else 0
    total = "" if isinstance(whole, Missing) else f" / {whole / scale:.{places}f}"
    return f"{part / scale:.{places}f}{total} {unit}"


def fans(gpu: GpuSample) -> str:
    """Return the fans' duty in words; a card without a fan says so."""
    if not isinstance(gpu.fans, Missing) and not gpu.fans:
        return NO_FAN
    return reading(mean_duty_pct(gpu), "{:.0f} %")


def cooling(gpu: GpuSample) -> str:
    """Return `fans 61 %`, or that the card has none."""
    duty = fans(gpu)
    return duty if duty == NO_FAN else f"fans {duty}"


def power(gpu: GpuSample) -> str:
    """Return the power drawn of the power limit, as much of it as is known."""
    return of_whole(gpu.power_draw_w, gpu.power_limit_w, "W")


def memory(gpu: GpuSample) -> str:
    """Return the card's memory in use of all it has: `19.8 / 24.0 GiB`."""
    return of_whole(gpu.memory_used_mib, gpu.memory_total_mib, "GiB", MIB_A_GIB)


def host(sample: HostSample) -> str:
    """Return how the machine around the cards is: `processor 7 %, memory 9.0 / 64.0 GiB`."""
    memory = of_whole(sample.memory_used_mib, sample.memory_total_mib, "GiB", MIB_A_GIB)
    return f"processor {reading(sample.cpu_pct, '{:.0f} %')}, memory {memory}"


def gib(mib: float) -> str:
    """Return MiB as GiB with one decimal."""
    return f"{mib / MIB_A_GIB:.1f} GiB"


def file_size(mib: float) -> str:
    """Return a file's size in the unit that suits it."""
    return gib(mib) if mib >= 1024 else f"{mib:.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"


def tokens(count: int) -> str:
    """Return a number of tokens as people say it: 512, 4k, 128k."""
    return f"{count // 1024}k" if count >= 1024 and count % 1024 == 0 else str(count)


def layers(count: int) -> str:
    """Return a number of layers."""
    return "1 layer" if count == 1 else f"{count} layers"


def parameters(count: int) -> str:
    """Return a number of parameters as people say it: 70.6 B, 853 K."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.{1 if count < 100 * unit else 0}f} {letter}"
    return str(count)
