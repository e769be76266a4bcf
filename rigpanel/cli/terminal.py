# SPDX-License-Identifier: MIT
"""Text of files and models, made harmless for a terminal."""

_ORDERS = dict.fromkeys((*range(32), *range(127, 160)), "�")
_ORDERS |= {ord("\n"): "\n", ord("\t"): "\t", ord("\r"): ""}


def harmless(text: str) -> str:
    """Return text without what a terminal takes for orders (ESC and the like), lines kept.

    A model's name comes out of a file from anywhere, and a model can say any byte.
    """
    return text.translate(_ORDERS)
