# SPDX-License-Identifier: MIT
"""What the next load is laid over: the rig's cards and lent devices, as its settings name them."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from rigpanel.engine.devices import Device as Listed
from rigpanel.engine.devices import DeviceKind, default_names
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.measured import bus_numbers
from rigpanel.fit.result import Device
from rigpanel.fit.rig_devices import devices_of
from rigpanel.rig.readings import GpuSample, Missing, RigSnapshot


@dataclass(frozen=True, slots=True)
class Spot:
    """A device that can hold a part of the model."""

    device: Device
    label: str
    """As people call it, with its kind."""
    engine_name: str
    """llama.cpp's name; empty before it has told its devices."""
    place: int
    """The card's place in the rig, which is its colour; past all cards for a lent device."""
    total_mib: float | None
    card: GpuSample | None


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that the next load can be laid over."""

    spots: tuple[Spot, ...]
    host_total_mib: float | None
    host_used_mib: float | None
    simulated: bool

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices as the formula takes them."""
        return tuple(spot.device for spot in self.spots)

    @property
    def host_free_mib(self) -> float | None:
        """This machine's free memory; None where it is not known."""
        if self.host_total_mib is None or self.host_used_mib is None:
            return None
        return self.host_total_mib - self.host_used_mib


def ground_of(
    snapshot: RigSnapshot,
    settings: LoadSettings,
    listed: tuple[Listed, ...],
    margin_mib: float,
    own_pids: Collection[int],
) -> Ground:
    """Return what the settings lay a model over.

    The simulated rig's cards are taken as they are: llama.cpp knows nothing of them.
    """
    cards = tuple(gpu for gpu in snapshot.cards if not gpu.lost)
    own = tuple(
        Spot(device, gpu.label, "", place, _known(gpu.memory_total_mib), gpu)
        for place, (device, gpu) in enumerate(
            zip(devices_of(snapshot, margin_mib, own_pids), cards, strict=True)
        )
    )
    host = snapshot.host
    return Ground(
        spots=own if snapshot.simulated or not listed else _named(own, settings, listed),
        host_total_mib=_known(host.memory_total_mib),
        host_used_mib=_known(host.memory_used_mib),
        simulated=snapshot.simulated,
    )


def _named(
    own: tuple[Spot, ...], settings: LoadSettings, listed: tuple[Listed, ...]
) -> tuple[Spot, ...]:
    """Return what the settings name of what llama.cpp has listed, in its order."""
    by_name = {one.name: one for one in listed}
    by_bus = {bus_numbers(spot.device.pci_bus_id): spot for spot in own if spot.device.pci_bus_id}
    spots = []
    for name in settings.devices or default_names(listed):
        one = by_name.get(name)
        if one is None or one.kind not in {DeviceKind.GPU, DeviceKind.RPC}:
            continue
        lent = one.kind is DeviceKind.RPC
        known = None if lent else by_bus.get(bus_numbers(one.address))
        if known is not None:
            spots.append(replace(known, engine_name=name))
            continue
        # A dry run knows a lent device by its server's address, as it knows a card by its bus id.
        device = Device(name, None, one.free_mib, lent=lent, pci_bus_id=one.address)
        label = f"{name} · {one.address or one.description}"
        spots.append(Spot(device, label, name, len(own) + len(spots), one.total_mib, None))
    return tuple(spots)


def _known(mib: float | Missing) -> float | None:
    return None if isinstance(mib, Missing) else mib
