# SPDX-License-Identifier: MIT
"""One card read through NVML; each getter names the nvidia-smi field it matches."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

from rigpanel.rig.nvml_calls import call, call_struct, reason, text, value_of
from rigpanel.rig.readings import (
    FanSample,
    GpuProcess,
    GpuSample,
    Missing,
    NvlinkSample,
    PcieSample,
    Reading,
)
from rigpanel.rig.vitals import CardVitals

Handle = Any
"""An nvmlDevice_t as the binding gives it."""

MIB = 1024 * 1024
PLAUSIBLE_C = (-40.0, 150.0)
PLAUSIBLE_W = 5000.0
NOT_AVAILABLE = 2**64 - 1
NO_FIGURE = (0xFFFF, 0xFFFFFFFF)
MOST_FANS = 16
"""More than any card has; a driver that counts more is not believed."""

TLIMIT_FIELDS = {
    pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN: pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT,
    pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT,
}

THROTTLE_REASONS = (
    (0x001, "gpu_idle"),
    (0x002, "applications_clocks_setting"),
    (0x004, "sw_power_cap"),
    (0x008, "hw_slowdown"),
    (0x010, "sync_boost"),
    (0x020, "sw_thermal_slowdown"),
    (0x040, "hw_thermal_slowdown"),
    (0x080, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
)
"""Bits of clocks_event_reasons.active and their names in nvidia-smi's query fields."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Cards by PCI bus id, to say which card an NVLink leads to."""

    uuid_by_bus_id: dict[str, str]

    def name(self, bus_id: str) -> str:
        """UUID of the card at `bus_id`, or the bus id itself (an NVSwitch, say)."""
        for known, uuid in self.uuid_by_bus_id.items():
            if known.lower() == bus_id.lower():
                return uuid
        return bus_id


def read_card(
    handle: Handle,
    *,
    index: int,
    uuid: str,
    name: Reading[str],
    bus_id: Reading[str],
    peers: Peers,
    kept: GpuSample | None,
) -> GpuSample:
    """Read one card; a reading that fails is `Missing` and stops no other.

    `kept` is an earlier sample whose slow parts (PCIe traffic, processes) are still good.
    """
    least_w, most_w = _power_range(handle)
    memory_used, memory_total = _memory(handle)
    return GpuSample(
        index=index,
        uuid=uuid,
        name=name,
        pci_bus_id=bus_id,
        temperature_c=_temperature(handle),
        slowdown_c=_threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
        shutdown_c=_threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN),
        power_draw_w=_watts(call(pynvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit_w=_power_limit(handle),
        power_limit_min_w=least_w,
        power_limit_max_w=most_w,
        energy_j=_divided(call(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle), 1000),
        utilization_pct=_utilization(handle),
        memory_used_mib=memory_used,
        memory_total_mib=memory_total,
        clock_sm_mhz=_said(call(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM)),
        clock_mem_mhz=_said(call(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM)),
        throttle_reasons=_throttle_reasons(handle),
        fans=_fans(handle),
        pcie=_pcie(handle, None if kept is None else kept.pcie),
        nvlink=_nvlink(handle, peers),
        processes=_processes(handle) if kept is None else kept.processes,
    )


def read_vitals(
    handle: Handle, *, index: int, uuid: str, name: Reading[str], bus_id: Reading[str]
) -> CardVitals:
    """Read what cooling a card needs, and no more: it is read every second, day and night."""
    least_w, most_w = _power_range(handle)
    default = call(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
    fans = _fans(handle)
    return CardVitals(
        index=index,
        uuid=uuid,
        name=name,
        pci_bus_id=bus_id,
        temperature_c=_temperature(handle),
        slowdown_c=_threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
        power_draw_w=_watts(call(pynvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit_w=_power_limit(handle),
        power_limit_min_w=least_w,
        power_limit_max_w=most_w,
        power_limit_default_w=_watts(default),
        fans=fans,
        targets_pct=()
        if isinstance(fans, Missing)
        else tuple(
            _divided(_said(call(pynvml.nvmlDeviceGetTargetFanSpeed, handle, fan.fan)), 1)
            for fan in fans
        ),
    )


def _said(value: Reading[int]) -> Reading[int]:
    """Return a figure, unless it is the all-ones that the driver leaves where it has none."""
    return Missing.READ_FAILED if value in NO_FIGURE else value


def _divided(value: Reading[int], by: int) -> Reading[float]:
    return value if isinstance(value, Missing) else value / by


def _watts(milliwatts: Reading[int]) -> Reading[float]:
    watts = _divided(milliwatts, 1000)
    if isinstance(watts, float) and watts > PLAUSIBLE_W:
        return Missing.READ_FAILED
    return watts


def _plausible_c(value: Reading[int]) -> Reading[float]:
    if isinstance(value, Missing):
        return value
    low, high = PLAUSIBLE_C
    return float(value) if low <= value <= high else Missing.READ_FAILED


def _first(*readers: Callable[[], Reading[Any]]) -> Any:
    """Return what the first reader that the driver supports says."""
    answer: Reading[Any] = Missing.NOT_SUPPORTED
    for reader in readers:
        answer = reader()
        if answer is not Missing.NOT_SUPPORTED:
            return answer
    return answer


def _temperature(handle: Handle) -> Reading[float]:
    """temperature.gpu: through TemperatureV, or the older call where the driver lacks it."""
    return _plausible_c(
        _first(
            lambda: call(pynvml.nvmlDeviceGetTemperatureV, handle, pynvml.NVML_TEMPERATURE_GPU),
            lambda: call(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        )
    )


def _threshold(handle: Handle, which: int) -> Reading[float]:
    """GPU Slowdown Temp and GPU Shutdown Temp of `nvidia-smi -q -d TEMPERATURE`.

    Where the driver no longer tells it (Ada and newer), the limit is reckoned from its T.Limit
    fields, which count degrees down to a limit as the card's margin does: temperature + margin -
    T.Limit.
    """
    value = _plausible_c(call(pynvml.nvmlDeviceGetTemperatureThreshold, handle, which))
    if value == 0.0 or value is Missing.NOT_SUPPORTED:
        return _limit_from_margin(handle, TLIMIT_FIELDS[which])
    return value


def _limit_from_margin(handle: Handle, field: int) -> Reading[float]:
    temperature = _temperature(handle)
    margin = call(pynvml.nvmlDeviceGetMarginTemperature, handle)
    fields = call(pynvml.nvmlDeviceGetFieldValues, handle, [field])
    for part in (fields, margin, temperature):
        if isinstance(part, Missing):
            return part
    if fields[0].nvmlReturn != pynvml.NVML_SUCCESS:
        return reason(pynvml.NVMLError(fields[0].nvmlReturn))
    return _plausible_c(round(temperature + margin - fields[0].value.siVal))


def _power_limit(handle: Handle) -> Reading[float]:
    """power.limit, or enforced.power.limit where it cannot be read."""
    return _watts(
        _first(
            lambda: call(pynvml.nvmlDeviceGetPowerManagementLimit, handle),
            lambda: call(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle),
        )
    )


def _power_range(handle: Handle) -> tuple[Reading[float], Reading[float]]:
    """power.min_limit and power.max_limit."""
    limits = call(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, handle)
    if isinstance(limits, Missing):
        return limits, limits
    return _watts(int(limits[0])), _watts(int(limits[1]))


def _utilization(handle: Handle) -> Reading[float]:
    """utilization.gpu."""
    rates = call(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return rates if isinstance(rates, Missing) else _divided(_said(int(rates.gpu)), 1)


def _memory(handle: Handle) -> tuple[Reading[float], Reading[float]]:
    """memory.used and memory.total, MiB; version 2 does not count the driver's reserve as used."""
    info = _first(
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2),
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle),
    )
    if isinstance(info, Missing):
        return info, info
    return info.used / MIB, info.total / MIB


def _throttle_reasons(handle: Handle) -> Reading[tuple[str, ...]]:
    """clocks_event_reasons.*, by nvidia-smi's names; the older symbol where the newer is absent."""
    mask = _first(
        lambda: call(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle),
        lambda: call(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle),
    )
    if isinstance(mask, Missing):
        return mask
    return tuple(name for bit, name in THROTTLE_REASONS if mask & bit)


def _fans(handle: Handle) -> Reading[tuple[FanSample, ...]]:
    """fan.speed and more, per controller; none on a card without a fan."""
    count = call(pynvml.nvmlDeviceGetNumFans, handle)
    if isinstance(count, Missing):
        return count
    if count > MOST_FANS:
        return Missing.READ_FAILED
    low, high = ctypes.c_uint(), ctypes.c_uint()
    failed = call_struct(
        "nvmlDeviceGetMinMaxFanSpeed", handle, ctypes.byref(low), ctypes.byref(high)
    )
    if failed is None and not low.value < high.value <= 100:
        failed = Missing.READ_FAILED  # a range that no fan can have
    return tuple(
        _fan(handle, fan, value_of(low, failed), value_of(high, failed)) for fan in range(count)
    )


def _fan(handle: Handle, fan: int, low: Reading[int], high: Reading[int]) -> FanSample:
    policy = ctypes.c_uint()
    failed = call_struct(
        "nvmlDeviceGetFanControlPolicy_v2", handle, ctypes.c_uint(fan), ctypes.byref(policy)
    )
    speed = pynvml.c_nvmlFanSpeedInfo_t()
    speed.version = pynvml.nvmlFanSpeedInfo_v1
    speed.fan = fan
    rpm_failed = call_struct("nvmlDeviceGetFanSpeedRPM", handle, ctypes.byref(speed))
    automatic = pynvml.NVML_FAN_POLICY_TEMPERATURE_CONTINOUS_SW
    return FanSample(
        fan=fan,
        duty_pct=_divided(_said(call(pynvml.nvmlDeviceGetFanSpeed_v2, handle, fan)), 1),
        rpm=_said(int(speed.speed)) if rpm_failed is None else rpm_failed,
        policy=failed or ("auto" if policy.value == automatic else "manual"),
        min_duty_pct=_divided(low, 1),
        max_duty_pct=_divided(high, 1),
    )


def _pcie(handle: Handle, kept: Reading[PcieSample] | None) -> Reading[PcieSample]:
    """pcie.link.*; the counters block 20 ms each, so a kept figure stands in between."""
    if isinstance(kept, PcieSample):
        sent, received = kept.tx_mib_s, kept.rx_mib_s
    else:
        sent, received = (
            _divided(_said(call(pynvml.nvmlDeviceGetPcieThroughput, handle, counter)), 1024)
            for counter in (pynvml.NVML_PCIE_UTIL_TX_BYTES, pynvml.NVML_PCIE_UTIL_RX_BYTES)
        )
    sample = PcieSample(
        gen=call(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        width=call(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        max_gen=call(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        max_width=call(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        tx_mib_s=sent,
        rx_mib_s=received,
    )
    readings = (sample.gen, sample.width, sample.max_gen, sample.max_width, sent, received)
    reasons = {value for value in readings if isinstance(value, Missing)}
    all_missing = all(isinstance(value, Missing) for value in readings)
    return reasons.pop() if all_missing and len(reasons) == 1 else sample


def _nvlink(handle: Handle, peers: Peers) -> Reading[NvlinkSample]:
    """`nvidia-smi nvlink --status`: a link exists where its state can be read."""
    states = [
        call(pynvml.nvmlDeviceGetNvLinkState, handle, link)
        for link in range(pynvml.NVML_NVLINK_MAX_LINKS)
    ]
    links = [link for link, state in enumerate(states) if not isinstance(state, Missing)]
    if not links:
        why: Missing = states[0]
        return why
    active = [link for link in links if states[link]]
    version: Reading[str] = Missing.NOT_SUPPORTED
    found: list[str] = []
    for link in active:
        if version is Missing.NOT_SUPPORTED:
            version = _nvlink_version(handle, link)
        pci = call(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, link)
        bus_id = pci if isinstance(pci, Missing) else text(pci.busId)
        if isinstance(bus_id, str) and peers.name(bus_id) not in found:
            found.append(peers.name(bus_id))
    return NvlinkSample(len(links), len(active), version, tuple(found))


def _nvlink_version(handle: Handle, link: int) -> Reading[str]:
    """NVLink's version in people's words: 4 is 3.0, 5 is 3.1 (nvml.h)."""
    names = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}
    number = call(pynvml.nvmlDeviceGetNvLinkVersion, handle, link)
    return number if isinstance(number, Missing) else names.get(number, str(number))


def _processes(handle: Handle) -> Reading[tuple[GpuProcess, ...]]:
    """compute-apps and graphics-apps, each program once."""
    compute = _first(
        lambda: call(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle),
        lambda: call(pynvml.nvmlDeviceGetComputeRunningProcesses_v2, handle),
    )
    graphics = _first(
        lambda: call(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, handle),
        lambda: call(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2, handle),
    )
    if isinstance(compute, Missing) and isinstance(graphics, Missing):
        return compute
    found: dict[int, GpuProcess] = {}
    for listed in (compute, graphics):
        for process in () if isinstance(listed, Missing) else listed:
            memory = process.usedGpuMemory
            found.setdefault(
                process.pid,
                GpuProcess(
                    pid=process.pid,
                    name=_process_name(process.pid),
                    memory_mib=Missing.NOT_SUPPORTED
                    if memory is None or memory == NOT_AVAILABLE
                    else memory / MIB,
                ),
            )
    return tuple(found.values())


def _process_name(pid: int) -> Reading[str]:
    import psutil  # here, because the fan helper reads cards without it

    try:
        return psutil.Process(pid).name()
    except psutil.AccessDenied:
        return Missing.NO_PERMISSION
    except psutil.Error:
        return Missing.READ_FAILED
