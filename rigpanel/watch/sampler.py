# SPDX-License-Identifier: MIT
"""The sampler: a thread that reads the rig on a steady beat, whatever the window is doing."""

import logging
import threading
import time
from collections.abc import Callable

from rigpanel.rig.source import RigSource
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.tick import Tick

log = logging.getLogger(__name__)


class Sampler:
    """Reads `source` every `interval_s` and hands each Tick to `on_tick` on its own thread."""

    def __init__(
        self,
        source: RigSource,
        book: AlertBook,
        interval_s: float,
        on_tick: Callable[[Tick], None],
    ) -> None:
        self._source = source
        self._book = book
        self._interval_s = interval_s
        self._on_tick = on_tick
        self._thresholds: Thresholds | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Start the thread; the first reading comes at once."""
        self._thread.start()

    def set_interval_s(self, interval_s: float) -> None:
        """Read on another beat, from the next reading on."""
        self._interval_s = interval_s

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Put other alert thresholds in force, from the next reading on."""
        self._thresholds = thresholds

    def stop(self, timeout_s: float = 3.0) -> bool:
        """End the thread and close the source; says whether it ended in time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        next_at = time.monotonic()
        while not self._stopping.is_set():
            try:
                self._tick()
            except Exception:
                log.exception("a reading of the rig failed; it goes on with the next")
            next_at = max(next_at + self._interval_s, time.monotonic())
            self._stopping.wait(next_at - time.monotonic())
        self._source.close()

    def _tick(self) -> None:
        thresholds, self._thresholds = self._thresholds, None
        if thresholds is not None:
            self._book.set_thresholds(thresholds)
        snapshot = self._source.read()
        transitions = self._book.step(snapshot.cards, snapshot.time_s)
        self._on_tick(Tick(time.monotonic(), snapshot, transitions, self._book.standing))
