# SPDX-License-Identifier: MIT
"""Which card a person means: by index, UUID, the beginning of one, or PCI bus id."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from rigpanel.errors import RigpanelError
from rigpanel.rig.readings import Reading


class NoSuchCardError(RigpanelError):
    """No card, or more than one, is meant; the text lists those there are."""


class Named(Protocol):
    """A card that can be named."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def uuid(self) -> str: ...  # noqa: D102
    @property
    def pci_bus_id(self) -> Reading[str]: ...  # noqa: D102


N = TypeVar("N", bound=Named)


def find_card(cards: Sequence[N], wanted: str) -> N:
    """Return the one card that `wanted` names; raises NoSuchCardError."""
    word = wanted.strip().lower()
    found = [
        card
        for card in cards
        if word in {str(card.index), card.uuid.lower(), str(card.pci_bus_id).lower()}
        or _same_bus(word, card.pci_bus_id)
    ]
    if not found and len(word) >= 2:
        found = [
            card
            for card in cards
            if card.uuid.lower().startswith((word, f"gpu-{word}")) and not word.isdigit()
        ]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{card.index} ({card.uuid})" for card in cards) or "none"
    problem = "names more than one card" if found else "names no card"
    raise NoSuchCardError(f"{wanted!r} {problem}. There are: {there}.")


def _same_bus(word: str, bus_id: Reading[str]) -> bool:
    """Whether a bus id is meant that was written with a shorter domain, or with none."""
    if not isinstance(bus_id, str) or ":" not in word:
        return False
    return bus_id.lower().lstrip("0:") == word.lstrip("0:")
