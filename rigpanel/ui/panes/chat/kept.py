# SPDX-License-Identifier: MIT
"""How the chat was left: draft, open conversation and choices, from start to start."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.messages import Sampling, WhenFull
from rigpanel.settings import write_atomically

MOST_DRAFT_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class KeptChat:
    """What the chat begins with; what cannot be read is as at the first start."""

    draft: str = ""
    conversation: int | None = None
    sampling: Sampling = Sampling()  # noqa: RUF009 - frozen
    when_full: WhenFull = WhenFull.STOP


def read_kept(path: Path) -> KeptChat:
    """Return what is kept in a file."""
    try:
        plain: Any = json.loads(path.read_text(encoding="utf-8"))
        kept = from_plain(KeptChat, plain)
    except (OSError, ValueError, RecursionError):
        return KeptChat()
    right = isinstance(kept.draft, str) and isinstance(kept.conversation, int | None)
    return kept if right else KeptChat()


def write_kept(path: Path, kept: KeptChat) -> None:
    """Keep it; raises OSError."""
    write_atomically(path, json.dumps(to_plain(kept), indent=1) + "\n")
