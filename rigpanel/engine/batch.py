# SPDX-License-Identifier: MIT
"""Sends the text of tokens that come fast together, and everything in its order."""

import time
from collections.abc import Callable

from rigpanel.engine.messages import ReplyEvent, TextGenerated

PIECE_S = 0.01
"""Text that comes faster than this is sent together."""


class TextBatch:
    """Takes the events of one reply and hands them on, fewer of them."""

    def __init__(self, emit: Callable[[ReplyEvent], None]) -> None:
        self._emit = emit
        self._texts: list[str] = []
        self._last: TextGenerated | None = None
        self._sent_at = 0.0

    def take(self, event: ReplyEvent) -> None:
        """Take the next event; only text may wait."""
        if not isinstance(event, TextGenerated):
            self.flush()
            self._emit(event)
            return
        if self._last is not None and self._last.reasoning != event.reasoning:
            self.flush()
        self._texts.append(event.text)
        self._last = event
        if time.monotonic() - self._sent_at >= PIECE_S:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._last is None:
            return
        last = self._last
        self._emit(TextGenerated("".join(self._texts), last.n_gen, last.reasoning))
        self._texts.clear()
        self._last = None
        self._sent_at = time.monotonic()
