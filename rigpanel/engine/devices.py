# SPDX-License-Identifier: MIT
"""The devices llama.cpp can put a model on: cards, the processor, and what RPC servers lend."""

import enum
from dataclasses import dataclass


class DeviceKind(enum.Enum):
    """What a device is."""

    GPU = "gpu"
    CPU = "cpu"
    RPC = "rpc"
    """Lent by a llama.cpp RPC server, whatever stands behind it there."""
    ACCEL = "accel"
    """Helps the processor (BLAS, AMX); holds no layers of its own."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device as llama.cpp lists it; memory in MiB."""

    name: str
    """What `LoadSettings.devices` calls it: `CUDA0`, `RPC0`, `CPU`."""
    description: str
    kind: DeviceKind
    free_mib: float
    total_mib: float
    address: str = ""
    """A card's PCI bus id, an RPC server's `host:port`; empty where there is none."""


HOLDERS = (DeviceKind.RPC, DeviceKind.GPU)
"""What layers are offloaded to unless a person chooses, in llama.cpp's own order: the output layer
is then on this machine, and less crosses the network."""


def default_names(devices: tuple[Device, ...]) -> tuple[str, ...]:
    """Return the devices that are used where none is named."""
    return tuple(device.name for kind in HOLDERS for device in devices if device.kind is kind)


def in_order_of_servers(
    devices: tuple[Device, ...], rpc_servers: tuple[str, ...]
) -> tuple[Device, ...]:
    """Return own devices first, then each server's, named `RPC0` on as a load would name them."""
    own = [device for device in devices if device.kind is not DeviceKind.RPC]
    lent = [
        device
        for server in dict.fromkeys(rpc_servers)
        for device in devices
        if device.kind is DeviceKind.RPC and device.address == server
    ]
    named = [
        Device(f"RPC{number}", d.description, d.kind, d.free_mib, d.total_mib, d.address)
        for number, d in enumerate(lent)
    ]
    return (*own, *named)
