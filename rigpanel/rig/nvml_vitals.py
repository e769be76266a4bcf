# SPDX-License-Identifier: MIT
"""What cooling needs to know of every card, read through NVML: no more, for it is read all day."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pynvml

from rigpanel.rig.back_off import BackOff
from rigpanel.rig.nvml_calls import call, reason, sentence, text
from rigpanel.rig.nvml_card import Handle, read_vitals
from rigpanel.rig.readings import UNKNOWN_UUID, Missing, Reading
from rigpanel.rig.vitals import CardVitals


@dataclass(slots=True)
class Card:
    """A card this process has seen, with its handle while it answers."""

    index: int
    uuid: str
    handle: Handle | None
    name: Reading[str]
    bus_id: Reading[str]
    vitals: CardVitals | None = None


class NvmlVitals:
    """Every card of this machine; a lost one keeps its place and is found again by its UUID."""

    simulated = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.starts = 0
        self._open = False
        self._problem: pynvml.NVMLError | None = None
        self._retry = BackOff(clock)
        self.cards: dict[str, Card] = {}

    @property
    def problem(self) -> str | None:
        """What is wrong with the driver as a whole, and what to do."""
        return None if self._problem is None else sentence(self._problem)

    @property
    def missing(self) -> Missing | None:
        """Why no card can be listed, None where they can."""
        return None if self._problem is None else reason(self._problem)

    def read(self) -> tuple[CardVitals, ...]:
        """Read every card; a lost one stays in the list, and is looked for by its UUID."""
        if self._retry.due() and (not self._open or not self.cards or self._any_lost()):
            self._start()
        read = tuple(self._read(card) for card in self.cards.values())
        if self._open and read and not self._any_lost():
            self._retry.succeeded()
        return read

    def restart(self) -> None:
        """Let go of the driver, so that the next read starts it anew."""
        self.close()
        self._retry.succeeded()

    def close(self) -> None:
        """Let go of the driver; fans stay as they are."""
        for card in self.cards.values():
            card.handle = None
        if self._open:
            self._open = False
            call(pynvml.nvmlShutdown)

    def _any_lost(self) -> bool:
        return any(_is_lost(card) for card in self.cards.values())

    def _start(self) -> None:
        """Start NVML anew and list its cards; those no longer listed keep their place."""
        self._retry.failed()  # until a read brings every card
        was_open = self._open
        self.close()
        try:
            pynvml.nvmlInit()
            self._open = True
            self.starts += 1
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            self._problem = error
            if was_open:  # cards that still answered are held by nobody now: be quick
                self._retry.succeeded()
                self._retry.failed()
            self.close()
            return
        self._problem = None
        for index in range(count):
            handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
            unknown = f"{UNKNOWN_UUID}{index}"
            if isinstance(handle, Missing):
                if all(card.index != index for card in self.cards.values()):
                    self.cards[unknown] = Card(index, unknown, None, handle, handle)
                continue
            self.cards.pop(unknown, None)
            uuid = text(call(pynvml.nvmlDeviceGetUUID, handle))
            if isinstance(uuid, Missing):
                continue
            pci = call(pynvml.nvmlDeviceGetPciInfo, handle)
            bus_id = pci if isinstance(pci, Missing) else text(pci.busId)
            name = text(call(pynvml.nvmlDeviceGetName, handle))
            known = self.cards.get(uuid)
            if known is None:
                self.cards[uuid] = Card(index, uuid, handle, name, bus_id)
            else:
                known.handle = handle

    def _read(self, card: Card) -> CardVitals:
        if card.handle is None:
            card.vitals = _blank(card)
        else:
            card.vitals = read_vitals(
                card.handle, index=card.index, uuid=card.uuid, name=card.name, bus_id=card.bus_id
            )
        return card.vitals


def _is_lost(card: Card) -> bool:
    """Whether a card no longer answers; one that only lacks a sensor does."""
    if card.handle is None or card.vitals is None:
        return True
    vital = {card.vitals.temperature_c, card.vitals.power_draw_w}
    return vital <= {Missing.GPU_LOST, Missing.READ_FAILED}


def _blank(card: Card) -> CardVitals:
    lost: dict[str, Any] = {field.name: Missing.GPU_LOST for field in fields(CardVitals)}
    known = {"index": card.index, "uuid": card.uuid, "name": card.name, "pci_bus_id": card.bus_id}
    return CardVitals(**{**lost, **known, "targets_pct": ()})
