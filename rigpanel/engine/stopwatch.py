# SPDX-License-Identifier: MIT
"""Counts one reply's tokens and times, and makes its stats of them."""

import time
from collections.abc import Callable

from rigpanel.engine.messages import FinishReason, ReplyStats


class ReplyStopwatch:
    """Started with the request; told of the prompt's end and of every token."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds."""
        self._clock = clock
        self.n_prompt = 0
        self.n_cached = 0
        self.n_gen = 0
        self.n_reasoning = 0
        self.n_drafted = 0
        self.n_accepted = 0
        self._started = self._clock()
        self._reading: float | None = None
        self._read: float | None = None
        self._first: float | None = None
        self._last = self._started

    def begins_to_read(self, n_prompt: int, n_cached: int) -> None:
        """Note that what is not cached of the prompt is decoded from now on."""
        self.n_prompt, self.n_cached = n_prompt, n_cached
        self._reading = self._clock()

    def has_read(self) -> None:
        """Note that the whole prompt has been decoded, the device's own queue included."""
        self._read = self._clock()

    def took_token(self) -> None:
        """Note that a token has been sampled; the end-of-reply token counts too."""
        self.n_gen += 1
        self._last = self._clock()
        if self._first is None:
            self._first = self._last

    def stats(self, reason: FinishReason) -> ReplyStats:
        """Return the figures of the reply, which ends now."""
        now = self._clock()
        reading = now if self._reading is None else self._reading
        prefill_s = (now if self._read is None else self._read) - reading
        n_new = self.n_prompt - self.n_cached
        between_s = 0.0 if self._first is None else self._last - self._first
        return ReplyStats(
            finish_reason=reason,
            n_prompt=self.n_prompt,
            n_cached=self.n_cached,
            n_gen=self.n_gen,
            ttft_s=None if self._first is None else self._first - self._started,
            pp_tps=n_new / prefill_s if self._read is not None and prefill_s > 0 else None,
            tg_tps=(self.n_gen - 1) / between_s if between_s > 0 else None,
            prefill_s=prefill_s,
            decode_s=0.0 if self._read is None else now - self._read,
            n_reasoning=self.n_reasoning,
            n_drafted=self.n_drafted,
            n_accepted=self.n_accepted,
        )
