# SPDX-License-Identifier: MIT
"""How the window was left: its size, the parts' widths and what was folded, from start to start."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rigpanel.settings import write_atomically

MOST_PX = 16384


@dataclass(frozen=True, slots=True)
class WindowLayout:
    """Sizes in pixels; `loader_shown` is None while the window's width decides."""

    width: int
    height: int
    parts: tuple[int, int, int]
    """Widths of loader, chat and charts."""
    loader_shown: bool | None = None


def read_layout(path: Path) -> WindowLayout | None:
    """Return the layout kept in `path`; None where there is none that can be used."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        parts = tuple(kept["parts"])
        sizes = (kept["width"], kept["height"], *parts)
        shown = kept["loader_shown"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if len(parts) != 3 or not all(type(size) is int and 0 <= size <= MOST_PX for size in sizes):
        return None
    return WindowLayout(
        kept["width"], kept["height"], parts, shown if isinstance(shown, bool) else None
    )


def write_layout(path: Path, layout: WindowLayout) -> None:
    """Keep a layout; raises OSError when the file cannot be written."""
    write_atomically(path, json.dumps(asdict(layout), indent=1) + "\n")
