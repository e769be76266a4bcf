# SPDX-License-Identifier: MIT
"""What llama.cpp itself says a load would take: the result of a dry run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredDevice:
    """What a load takes on one device, in bytes."""

    name: str
    """llama.cpp's name: `CUDA0`, `RPC0`; `` is host memory."""
    pci_bus_id: str
    """`` where it has none."""
    weights: int
    kv: int
    compute: int
    layers: int
    """Repeating layers on it."""
    output: bool
    """Whether the output layer is on it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load takes everywhere; host memory is the last of `devices`."""

    devices: tuple[MeasuredDevice, ...]
    n_ctx: int
    """As llama.cpp would make it."""
    flash_attn: bool

    @property
    def host(self) -> MeasuredDevice:
        """What it takes of the host's memory."""
        return self.devices[-1]
