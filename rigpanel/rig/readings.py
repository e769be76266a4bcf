# SPDX-License-Identifier: MIT
"""One snapshot of the rig: a frozen value per card and tick, with missing readings named."""

import enum
from dataclasses import dataclass
from typing import TypeAlias, TypeVar


class Missing(enum.Enum):
    """Why a reading could not be had; never turned into a number."""

    NOT_SUPPORTED = "not_supported"
    NO_PERMISSION = "no_permission"
    READ_FAILED = "read_failed"
    GPU_LOST = "gpu_lost"


UNKNOWN_UUID = "unknown-"
"""Begins the stand-in for the UUID of a card that has not yet told it to this process."""

T = TypeVar("T")
Reading: TypeAlias = T | Missing


@dataclass(frozen=True, slots=True)
class FanSample:
    """One fan controller of a card (a controller may drive several blades)."""

    fan: int
    duty_pct: Reading[float]
    rpm: Reading[int]
    policy: Reading[str]
    """`auto` or `manual`."""
    min_duty_pct: Reading[float]
    max_duty_pct: Reading[float]


@dataclass(frozen=True, slots=True)
class PcieSample:
    """The card's slot as it runs now and as it could run, with its traffic."""

    gen: Reading[int]
    width: Reading[int]
    max_gen: Reading[int]
    max_width: Reading[int]
    tx_mib_s: Reading[float]
    rx_mib_s: Reading[float]


@dataclass(frozen=True, slots=True)
class NvlinkSample:
    """The card's NVLink links; `peers` are the UUIDs of the cards they lead to, once each."""

    links: int
    active: int
    version: Reading[str]
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A program that holds memory on the card."""

    pid: int
    name: Reading[str]
    memory_mib: Reading[float]


@dataclass(frozen=True, slots=True)
class GpuSample:
    """Every reading of one card at one tick; the UUID is the card, the index is for people."""

    index: int
    uuid: str
    name: Reading[str]
    pci_bus_id: Reading[str]
    temperature_c: Reading[float]
    slowdown_c: Reading[float]
    shutdown_c: Reading[float]
    power_draw_w: Reading[float]
    power_limit_w: Reading[float]
    power_limit_min_w: Reading[float]
    power_limit_max_w: Reading[float]
    energy_j: Reading[float]
    """Joules since the driver was loaded; may go back to zero."""
    utilization_pct: Reading[float]
    memory_used_mib: Reading[float]
    memory_total_mib: Reading[float]
    clock_sm_mhz: Reading[int]
    clock_mem_mhz: Reading[int]
    throttle_reasons: Reading[tuple[str, ...]]
    fans: Reading[tuple[FanSample, ...]]
    pcie: Reading[PcieSample]
    nvlink: Reading[NvlinkSample]
    processes: Reading[tuple[GpuProcess, ...]]

    @property
    def lost(self) -> bool:
        """Whether the card has fallen off the bus (it stays in the list under its UUID)."""
        return self.temperature_c is Missing.GPU_LOST

    @property
    def label(self) -> str:
        """The card as people call it: `GPU 0 · RTX 3090`."""
        if isinstance(self.name, Missing):
            return f"GPU {self.index}"
        return f"GPU {self.index} · {self.name.removeprefix('NVIDIA ').removeprefix('GeForce ')}"


@dataclass(frozen=True, slots=True)
class HostSample:
    """The machine around the cards."""

    cpu_pct: Reading[float]
    cpu_power_w: Reading[float]
    memory_used_mib: Reading[float]
    memory_total_mib: Reading[float]


@dataclass(frozen=True, slots=True)
class RigSnapshot:
    """Everything read in one tick."""

    simulated: bool
    time_s: float
    """Seconds since the epoch."""
    driver_version: Reading[str]
    nvml_version: Reading[str]
    gpus: Reading[tuple[GpuSample, ...]]
    """`Missing` where there is no usable driver; an empty tuple where a driver sees no card."""
    host: HostSample
    driver_problem: str | None = None
    """A sentence for people when the driver cannot be used: what is wrong and what to do."""

    @property
    def cards(self) -> tuple[GpuSample, ...]:
        """The cards, none where they could not be listed."""
        return () if isinstance(self.gpus, Missing) else self.gpus
