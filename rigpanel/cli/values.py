# SPDX-License-Identifier: MIT
"""Numbers as words of a command line."""

import argparse
from collections.abc import Callable


def whole(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Return what reads a whole number from `low` to `high`, for argparse's `type`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            wanted = f"must be a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{text!r}: {wanted}")
        return value

    return parse
