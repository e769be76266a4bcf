# SPDX-License-Identifier: MIT
"""What llama.cpp itself says a load would take, put in the place of the formula's figures."""

import re
from dataclasses import dataclass, replace

from rigpanel.fit.result import MIB, DeviceUse, Fit, Use


@dataclass(frozen=True, slots=True)
class MeasuredUse:
    """What a load takes on one device, in bytes."""

    name: str
    """llama.cpp's name: `CUDA0`, `RPC0`; `` is host memory."""
    address: str
    """A card's PCI bus id, a server's `host:port`; `` where there is none."""
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

    devices: tuple[MeasuredUse, ...]
    n_ctx: int
    """As llama.cpp would make it."""
    flash_attn: bool

    @property
    def host(self) -> MeasuredUse:
        """What it takes of the host's memory."""
        return self.devices[-1]


def with_measured(fit: Fit, measured: Measured) -> Fit | None:
    """Return `fit` with llama.cpp's figures; None where it does not place on the same cards."""
    *on_cards, _ = measured.devices
    by_bus = {bus_numbers(use.address): use for use in on_cards if use.address}
    uses = []
    for planned in fit.devices:
        found = by_bus.pop(bus_numbers(planned.device.pci_bus_id), None)
        if found is None and planned.use.total_mib > 0:
            return None
        use = Use(0, output=False, weights_mib=0, kv_mib=0, compute_mib=0)
        uses.append(DeviceUse(planned.device, use if found is None else _use(found)))
    if by_bus:
        return None
    settings = replace(fit.settings, flash_attn="on" if measured.flash_attn else "off")
    return replace(
        fit, settings=settings, devices=tuple(uses), host=_use(measured.host), measured=True
    )


def _use(use: MeasuredUse) -> Use:
    return Use(
        layers=use.layers,
        output=use.output,
        weights_mib=use.weights / MIB,
        kv_mib=use.kv / MIB,
        compute_mib=use.compute / MIB,
    )


def bus_numbers(pci_bus_id: str) -> tuple[int, ...]:
    """Return a PCI address as numbers: NVML and ggml write the domain with other lengths."""
    return tuple(int(part, 16) for part in re.findall(r"[0-9a-fA-F]+", pci_bus_id))
