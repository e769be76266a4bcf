# SPDX-License-Identifier: MIT
"""`rigpanel power`: sets a card's power limit through the fan helper, or takes it back."""

import argparse
import math

from rigpanel.cli.helper_cards import add_socket, card_meant, connect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("gpu", metavar="GPU", help="index, UUID or PCI bus id")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--limit", type=_watts, metavar="W", help="the limit in watts")
    what.add_argument(
        "--reset", action="store_true", help="go back to the limit from before it was changed"
    )
    add_socket(parser)


def run(options: argparse.Namespace) -> int:
    """Set the limit and say what the card then told."""
    with connect(options) as client:
        card = card_meant(client, options.gpu)
        if options.reset:
            client.ask("reset_power_limits", gpu=card.uuid)
        else:
            client.ask("set_power_limit", gpu=card.uuid, limit_w=options.limit)
        now_w = card_meant(client, card.uuid).told["power_limit_w"]
    print(f"GPU {card.index}: the power limit is {now_w:g} W.")
    return 0


def _watts(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 5000:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of watts from 1 to 5000")
    return value
