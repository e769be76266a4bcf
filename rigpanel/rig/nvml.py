# SPDX-License-Identifier: MIT
"""The real rig: NVIDIA's management library, read through nvidia-ml-py."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pynvml

from rigpanel.rig.back_off import BackOff
from rigpanel.rig.host import HostReader
from rigpanel.rig.nvml_calls import call, reason, sentence, text
from rigpanel.rig.nvml_card import Handle, Peers, read_card
from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample, Missing, Reading, RigSnapshot


@dataclass(slots=True)
class _Card:
    """A card this process has seen: its handle while it answers, and its last good readings."""

    index: int
    uuid: str
    handle: Handle | None
    bus_id: Reading[str]
    name: Reading[str]
    trouble: Missing = Missing.GPU_LOST


class NvmlSource:
    """Readings of every NVIDIA card and the host; each reading fails on its own.

    `slow_period_s` is how long PCIe traffic (20 ms a counter) and the process list may be kept
    before they are read again; 0 reads them every time.
    """

    simulated = False

    def __init__(
        self, slow_period_s: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slow_period_s = slow_period_s
        self._clock = clock
        self._host = HostReader()
        self._open = False
        self._problem: pynvml.NVMLError | None = None
        self._driver_retry = BackOff(clock)
        self._card_retry = BackOff(clock)
        self._cards: dict[str, _Card] = {}
        self._slow: dict[str, tuple[float, GpuSample]] = {}
        self._driver_version: Reading[str] = Missing.READ_FAILED
        self._nvml_version: Reading[str] = Missing.READ_FAILED

    def read(self) -> RigSnapshot:
        """Read every card and the host once; never raises for hardware or driver."""
        if not self._open and self._driver_retry.due():
            self._start()
        elif self._open and self._incomplete():
            self._look_again()
        if not self._open and not self._cards:
            return self._without_driver()
        cards = sorted(self._cards.values(), key=lambda card: card.index)
        peers = Peers({card.bus_id: card.uuid for card in cards if isinstance(card.bus_id, str)})
        gpus = tuple(self._read(card, peers) for card in cards)
        if self._open and not self._incomplete():
            self._card_retry.succeeded()
        return RigSnapshot(
            simulated=False,
            time_s=time.time(),
            driver_version=self._driver_version,
            nvml_version=self._nvml_version,
            gpus=gpus,
            host=self._host.read(),
            driver_problem=None if self._open or self._problem is None else sentence(self._problem),
        )

    def close(self) -> None:
        """Let go of the driver."""
        if self._open:
            self._open = False
            call(pynvml.nvmlShutdown)

    def _without_driver(self) -> RigSnapshot:
        problem = self._problem or pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)
        why = reason(problem)
        return RigSnapshot(
            simulated=False,
            time_s=time.time(),
            driver_version=why,
            nvml_version=why,
            gpus=why,
            host=self._host.read(),
            driver_problem=sentence(problem),
        )

    def _incomplete(self) -> bool:
        return not self._cards or any(card.handle is None for card in self._cards.values())

    def _start(self) -> None:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self._cannot_start(error)
            return
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            call(pynvml.nvmlShutdown)
            self._cannot_start(error)
            return
        self._open = True
        self._problem = None
        self._driver_retry.succeeded()
        self._driver_version = text(call(pynvml.nvmlSystemGetDriverVersion))
        self._nvml_version = text(call(pynvml.nvmlSystemGetNVMLVersion))
        self._list_cards(count)

    def _cannot_start(self, error: pynvml.NVMLError) -> None:
        self._problem = error
        self._driver_retry.failed()
        self._drop_handles(Missing.READ_FAILED)

    def _drop_handles(self, why: Missing) -> None:
        for card in self._cards.values():
            if card.handle is not None:
                card.handle, card.trouble = None, why

    def _look_again(self) -> None:
        """Start NVML anew to find a lost card by its UUID; the other cards keep their place."""
        if not self._card_retry.due():
            return
        self._card_retry.failed()  # until a tick reads every card: a handle alone proves nothing
        call(pynvml.nvmlShutdown)
        self._open = False
        self._start()

    def _list_cards(self, count: int) -> None:
        self._drop_handles(Missing.GPU_LOST)
        for index in range(count):
            handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
            if isinstance(handle, Missing):
                self._note_unreachable(index, handle, handle, handle)
                continue
            uuid = text(call(pynvml.nvmlDeviceGetUUID, handle))
            pci = call(pynvml.nvmlDeviceGetPciInfo, handle)
            bus_id = pci if isinstance(pci, Missing) else text(pci.busId)
            name = text(call(pynvml.nvmlDeviceGetName, handle))
            if isinstance(uuid, Missing):
                self._note_unreachable(index, uuid, bus_id, name)
                continue
            self._cards.pop(f"{UNKNOWN_UUID}{index}", None)
            self._note_found(index, uuid, handle, bus_id, name)

    def _note_found(
        self, index: int, uuid: str, handle: Handle, bus_id: Reading[str], name: Reading[str]
    ) -> None:
        """Keep a card's place and index though the driver counts anew when another is gone."""
        known = self._cards.get(uuid)
        if known is None:
            taken = {card.index for card in self._cards.values()}
            free = next(number for number in itertools.count(index) if number not in taken)
            self._cards[uuid] = _Card(free, uuid, handle, bus_id, name)
            return
        known.handle = handle
        known.bus_id = known.bus_id if isinstance(bus_id, Missing) else bus_id
        known.name = known.name if isinstance(name, Missing) else name

    def _note_unreachable(
        self, index: int, why: Missing, bus_id: Reading[str], name: Reading[str]
    ) -> None:
        """Keep a place for a card that the driver counts but that has never answered here."""
        for card in self._cards.values():
            if card.index == index:
                card.trouble = why if card.handle is None else card.trouble
                return
        uuid = f"{UNKNOWN_UUID}{index}"
        self._cards[uuid] = _Card(index, uuid, None, bus_id, name, why)

    def _read(self, card: _Card, peers: Peers) -> GpuSample:
        if card.handle is None:
            return _blank(card, card.trouble)
        now = self._clock()
        kept = self._slow.get(card.uuid)
        fresh = kept is None or now - kept[0] >= self._slow_period_s
        sample = read_card(
            card.handle,
            index=card.index,
            uuid=card.uuid,
            name=card.name,
            bus_id=card.bus_id,
            peers=peers,
            kept=None if fresh or kept is None else kept[1],
        )
        trouble = _trouble(sample)
        if trouble is not None:
            card.handle, card.trouble = None, trouble
            self._slow.pop(card.uuid, None)
            return _blank(card, trouble)
        if fresh:
            self._slow[card.uuid] = (now, sample)
        return sample


def _trouble(sample: GpuSample) -> Missing | None:
    """Say why a card no longer answers, or None while any of its vital readings comes."""
    vital = (sample.temperature_c, sample.power_draw_w, sample.memory_used_mib, sample.clock_sm_mhz)
    if any(not isinstance(reading, Missing) for reading in vital):
        return None
    for why in (Missing.GPU_LOST, Missing.READ_FAILED):
        if why in vital:
            return why
    return None


def _blank(card: _Card, why: Missing) -> GpuSample:
    known: dict[str, Any] = {
        "index": card.index,
        "uuid": card.uuid,
        "name": card.name,
        "pci_bus_id": card.bus_id,
    }
    rest: dict[str, Any] = {f.name: why for f in fields(GpuSample) if f.name not in known}
    return GpuSample(**known, **rest)
