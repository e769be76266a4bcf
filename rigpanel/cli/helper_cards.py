# SPDX-License-Identifier: MIT
"""What `fans` and `power` share: the helper's word on the cards, and which one is meant."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rigpanel.cooling.client import HelperClient
from rigpanel.errors import RigpanelError
from rigpanel.rig.find_card import find_card
from rigpanel.rig.readings import Missing, Reading

DEMO_SETS_NOTHING = (
    "The simulated rig has no helper that keeps what is set. Try it in the panel: "
    "`rigpanel --demo --pane fans`."
)


@dataclass(frozen=True, slots=True)
class NamedCard:
    """A card as the helper tells it."""

    index: int
    uuid: str
    pci_bus_id: Reading[str]
    told: Mapping[str, Any]


def add_socket(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command of the helper takes."""
    parser.add_argument(
        "--socket", metavar="PATH", default=argparse.SUPPRESS, help="the fan helper's socket"
    )
    parser.add_argument(
        "--demo", action="store_true", default=argparse.SUPPRESS, help="use the simulated rig"
    )


def connect(options: argparse.Namespace) -> HelperClient:
    """Connect to the helper; raises HelperError, or RigpanelError for the simulated rig."""
    if getattr(options, "demo", False):
        raise RigpanelError(DEMO_SETS_NOTHING)
    return HelperClient(getattr(options, "socket", None))


def card_meant(client: HelperClient, wanted: str) -> NamedCard:
    """Return the card that an argument names; raises RigpanelError."""
    status = client.ask("status")
    if status["driver_problem"]:
        raise RigpanelError(status["driver_problem"])
    cards = [
        NamedCard(told["index"], told["uuid"], told["pci_bus_id"] or Missing.READ_FAILED, told)
        for told in status["gpus"]
        if told["uuid"] is not None
    ]
    return find_card(cards, wanted)
