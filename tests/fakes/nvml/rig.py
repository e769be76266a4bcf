# SPDX-License-Identifier: MIT
"""FakeRig: the hand on the fake driver's cards, from tests or from a shell."""

import ctypes
import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tests.fakes.nvml import layout
from tests.fakes.nvml.layout import Card, State
from tests.fakes.nvml.library import library

VARIABLE = "RIGPANEL_FAKE_NVML"
MIB = 1024 * 1024
ALL_CARDS = -1

SUCCESS, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION = 0, 2, 3, 4
DRIVER_NOT_LOADED, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH, UNKNOWN = 9, 15, 16, 18, 999


class Order(NamedTuple):
    """A setter call the fake was given, with NVML's answer."""

    function: str
    card: int
    fan: int
    value: int
    status: int


class FakeRig:
    """The state of a fake driver and its cards, in a file that outlives whoever reads it.

    Readings are poked as attributes: `rig.card(1).temperature_c = 86`; see layout.Card for names.
    """

    def __init__(self, path: Path, *, lacks: Iterable[str] = ()) -> None:
        self.path = path
        self.library = library(lacks)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(State))
        self.state = State.from_buffer(self._map)

    @classmethod
    def empty(cls, path: Path, *, lacks: Iterable[str] = ()) -> Self:
        """Make a driver that sees no card."""
        path.write_bytes(bytes(ctypes.sizeof(State)))
        rig = cls(path, lacks=lacks)
        rig.state.size = ctypes.sizeof(State)
        rig.state.driver_version = b"580.65.06"
        rig.state.nvml_version = b"13.580.65.06"
        rig.state.setters_allowed = 1
        rig.state.pcie_block_ms = 20
        rig.state.magic = layout.MAGIC
        return rig

    @classmethod
    def two_3090s(cls, path: Path, *, lacks: Iterable[str] = ()) -> Self:
        """Make the model case: two RTX 3090s with a four-link NVLink bridge."""
        rig = cls.empty(path, lacks=lacks)
        rig.add_card(uuid="GPU-aaaaaaaa-0000-4000-8000-000000000000", bus=0x01)
        rig.add_card(uuid="GPU-bbbbbbbb-1111-4111-8111-111111111111", bus=0x21)
        rig.bridge(0, 1)
        return rig

    @classmethod
    def eight(cls, path: Path, *, lacks: Iterable[str] = ()) -> Self:
        """Make eight cards, each with readings of its own."""
        rig = cls.empty(path, lacks=lacks)
        for index in range(8):
            card = rig.add_card(
                uuid=f"GPU-{index:08x}-0000-4000-8000-000000003090", bus=0x10 + index
            )
            card.temperature_c = 40 + index
            card.power_mw = 100_000 + 1000 * index
        return rig

    def add_card(self, *, uuid: str, bus: int, name: str = "NVIDIA GeForce RTX 3090") -> Card:
        """Add a card with the readings of an idle RTX 3090, and return it."""
        card: Card = self.state.cards[self.state.card_count]
        card.name, card.uuid = name.encode(), uuid.encode()
        card.pci_bus_id = f"00000000:{bus:02X}:00.0".encode()
        card.memory_total_bytes = 24576 * MIB
        card.memory_used_bytes, card.memory_reserved_bytes = 310 * MIB, 400 * MIB
        card.energy_mj, card.throttle_mask = 123_456_700, 1
        card.temperature_c, card.slowdown_c, card.shutdown_c = 38, 95, 98
        card.margin_c, card.slowdown_tlimit_c, card.shutdown_tlimit_c = 55, -2, -5
        card.power_mw = 25_300
        card.limit_mw = card.limit_default_mw = 350_000
        card.limit_min_mw, card.limit_max_mw = 100_000, 400_000
        card.clock_sm_mhz, card.clock_mem_mhz = 210, 405
        card.min_duty_pct, card.max_duty_pct, card.fan_count = 30, 100, 2
        for fan in card.fans[:2]:
            fan.auto_pct = fan.duty_pct = fan.target_pct = 30
            fan.rpm = 900
        card.pcie_gen, card.pcie_width, card.pcie_max_gen, card.pcie_max_width = 1, 16, 4, 16
        card.link_count, card.link_version = -1, 5
        card.lost_error = GPU_IS_LOST
        self.state.card_count += 1
        return card

    def bridge(self, first: int, second: int, links: int = 4) -> None:
        """Join two cards by NVLink."""
        for index, peer in ((first, second), (second, first)):
            card = self.card(index)
            card.link_count, card.link_active_mask = links, (1 << links) - 1
            for link in range(links):
                card.link_peer[link] = peer

    def card(self, index: int) -> Card:
        """Return a card, to be read and poked."""
        if not 0 <= index < self.state.card_count:
            raise IndexError(f"there is no card {index}")
        card: Card = self.state.cards[index]
        return card

    def uuid(self, index: int) -> str:
        """Return a card's UUID."""
        return self.card(index).uuid.decode()

    def run_process(self, index: int, pid: int, memory_mib: int, *, graphics: bool = False) -> None:
        """Have a program hold memory on a card."""
        card = self.card(index)
        process = card.processes[card.process_count]
        process.pid, process.graphics = pid, int(graphics)
        process.memory_bytes = memory_mib * MIB
        card.process_count += 1

    def freeze_sensor(self, index: int) -> None:
        """Have a card's temperature stay at what it is, however hot the card is poked."""
        card = self.card(index)
        card.frozen_c, card.frozen = card.temperature_c, 1

    def lose(
        self,
        index: int,
        *,
        error: int = GPU_IS_LOST,
        listed: bool = True,
        handle_given: bool = False,
    ) -> None:
        """Have a card fall off the bus; a driver started later may or may not list it still."""
        card = self.card(index)
        card.lost_error, card.unlisted = error, int(not listed)
        card.times_lost += 1
        card.lost = 2 if handle_given else 1

    def bring_back(self, index: int) -> None:
        """Have a lost card answer again, to whoever starts NVML anew."""
        self.card(index).unlisted = 0
        self.card(index).lost = 0

    def fail(self, function: str, error: int, card: int = ALL_CARDS, after: int = 0) -> None:
        """Have an NVML function fail on one card or all, once `after` calls have succeeded."""
        fault = self.state.faults[self.state.fault_count]
        fault.function, fault.card, fault.error = function.encode(), card, error
        fault.after = after
        self.state.fault_count += 1

    def mend(self) -> None:
        """Take back every `fail`."""
        self.state.fault_count = 0

    def calls(self, function: str) -> int:
        """Return how often an NVML function was called, by any process."""
        counters = self.state.counters[: self.state.counter_count]
        return sum(c.calls for c in counters if c.function == function.encode())

    def reload_driver(self) -> None:
        """Have the driver be taken out and put in again: handles die, fans are the cards' own."""
        for index in range(self.state.card_count):
            card = self.card(index)
            card.times_lost += 1
            card.limit_mw = card.limit_default_mw
            for fan in card.fans[: max(card.fan_count, 0)]:
                fan.manual = 0
                fan.duty_pct = fan.target_pct = fan.auto_pct

    @property
    def manual_fans(self) -> list[tuple[int, int]]:
        """Every fan that no card's own control has, as card and fan."""
        return [
            (index, number)
            for index in range(self.state.card_count)
            for number in range(max(self.card(index).fan_count, 0))
            if self.card(index).fans[number].manual
        ]

    @property
    def orders(self) -> Sequence[Order]:
        """Every setter call since the file was made, the refused ones too."""
        return [
            Order(write.function.decode(), write.card, write.fan, write.value, write.status)
            for write in self.state.writes[: self.state.write_count]
        ]

    def env(self) -> dict[str, str]:
        """Return the environment in which a program finds this driver and no other."""
        others = os.environ.get("LD_LIBRARY_PATH")
        folders = [str(self.library.parent), *([others] if others else [])]
        return {
            **os.environ,
            VARIABLE: str(self.path.absolute()),
            "LD_LIBRARY_PATH": os.pathsep.join(folders),
        }
