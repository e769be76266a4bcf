# SPDX-License-Identifier: MIT
"""Where a model's memory goes: what each card and the host would hold."""

from dataclasses import dataclass

from rigpanel.fit.load_settings import LoadSettings

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Device:
    """A card, real or asked about."""

    name: str
    """As people call it: `GPU 0`."""
    uuid: str | None
    """None for a card that is only asked about."""
    free_mib: float | None
    """Free memory; None where it could not be read."""
    peers: tuple[str, ...] = ()
    """UUIDs of the cards that NVLink leads to."""
    lent: bool = False
    """Whether it is another machine's, reached over RPC."""
    margin_mib: float = 0.0
    """Kept free of it for what no formula knows: the driver's own, other programs' changes."""
    pci_bus_id: str = ""
    others: tuple[tuple[str, float], ...] = ()
    """Other programs on it and the MiB they hold."""

    @property
    def usable_mib(self) -> float:
        """What a model may take of it; 0 where that is not known."""
        return max((self.free_mib or 0.0) - self.margin_mib, 0.0)


@dataclass(frozen=True, slots=True)
class Use:
    """What a model takes in one place, in MiB."""

    layers: int
    """Repeating layers."""
    output: bool
    """Whether the output layer is there."""
    weights_mib: float
    kv_mib: float
    compute_mib: float

    @property
    def total_mib(self) -> float:
        """All of it."""
        return self.weights_mib + self.kv_mib + self.compute_mib


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What a model takes on one card."""

    device: Device
    use: Use

    @property
    def fits(self) -> bool | None:
        """Whether it fits into what is free; None where that is not known."""
        if self.device.free_mib is None:
            return None
        return self.use.total_mib <= self.device.usable_mib or self.use.total_mib <= 0


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a model's memory goes with given settings."""

    settings: LoadSettings
    """Every one given in full: layers counted, shares named, flash attention decided."""
    devices: tuple[DeviceUse, ...]
    host: Use
    host_free_mib: float | None = None
    """Memory of this machine that the model may take; None where that is not asked."""
    measured: bool = False
    """Whether llama.cpp itself gave the figures (a dry run)."""

    @property
    def fits(self) -> bool | None:
        """Whether everything fits where it goes; None where a card's memory is not known."""
        if self.host_free_mib is not None and self.host.total_mib > self.host_free_mib:
            return False
        answers = [
            use.fits for use in self.devices if use.use.total_mib > 0 or use.fits is not None
        ]
        if False in answers:
            return False
        return None if None in answers else True

    @property
    def lacking(self) -> tuple[tuple[str, float], ...]:
        """The places that are too small, each with the MiB it lacks."""
        cards = [
            (use.device.name, use.use.total_mib - use.device.usable_mib)
            for use in self.devices
            if use.fits is False
        ]
        over = 0.0 if self.host_free_mib is None else self.host.total_mib - self.host_free_mib
        return (*cards, *[("the host", over)] * (over > 0))
