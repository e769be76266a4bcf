# SPDX-License-Identifier: MIT
"""The rig's cards as places for a model: free memory, links, and who else is on them."""

from collections.abc import Collection, Sequence

from rigpanel.fit.result import Device
from rigpanel.rig.readings import GpuProcess, GpuSample, Missing, RigSnapshot


def devices_of(
    snapshot: RigSnapshot, margin_mib: float = 0.0, own_pids: Collection[int] = ()
) -> tuple[Device, ...]:
    """Return the cards that work; what the processes `own_pids` hold counts as free.

    They are this panel's engines: a load takes the place of what they hold.
    """
    return tuple(_device(gpu, margin_mib, own_pids) for gpu in snapshot.cards if not gpu.lost)


def asked_devices(vram_mib: Sequence[float]) -> tuple[Device, ...]:
    """Return cards that are only asked about, with so much free memory each."""
    return tuple(Device(f"GPU {index}", None, free) for index, free in enumerate(vram_mib))


def _device(gpu: GpuSample, margin_mib: float, own_pids: Collection[int]) -> Device:
    processes = () if isinstance(gpu.processes, Missing) else gpu.processes
    own = [p for p in processes if p.pid in own_pids]
    free_mib: float | None = None
    if not isinstance(gpu.memory_used_mib, Missing) and not isinstance(
        gpu.memory_total_mib, Missing
    ):
        free_mib = gpu.memory_total_mib - gpu.memory_used_mib + sum(map(_memory, own))
        free_mib = min(max(free_mib, 0.0), gpu.memory_total_mib)
    return Device(
        name=f"GPU {gpu.index}",
        uuid=gpu.uuid,
        free_mib=free_mib,
        peers=() if isinstance(gpu.nvlink, Missing) else gpu.nvlink.peers,
        margin_mib=margin_mib,
        pci_bus_id="" if isinstance(gpu.pci_bus_id, Missing) else gpu.pci_bus_id,
        others=tuple((_name(p), _memory(p)) for p in processes if p not in own),
    )


def _memory(process: GpuProcess) -> float:
    return 0.0 if isinstance(process.memory_mib, Missing) else process.memory_mib


def _name(process: GpuProcess) -> str:
    return f"process {process.pid}" if isinstance(process.name, Missing) else process.name
