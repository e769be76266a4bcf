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
        self._trouble: str | None = None
        self._stopping = False
        self._wanted = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Start the thread; the first reading comes at once."""
        self._thread.start()

    def set_interval_s(self, interval_s: float) -> None:
        """Read on another beat, from now on."""
        with self._wake:
            self._interval_s = interval_s
            self._wake.notify()

    def read_now(self) -> None:
        """Read once more at once; the beat stays as it is."""
        with self._wake:
            self._wanted = True
            self._wake.notify()

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Put other alert thresholds in force, from the next reading on."""
        self._thresholds = thresholds

    def stop(self, timeout_s: float = 3.0) -> bool:
        """End the thread, which closes the source; says whether it ended in time."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is None:
            self._source.close()
        elif self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        beat_s = time.monotonic()
        while not self._stopping:
            try:
                self._tick()
            except Exception as error:
                if repr(error) != self._trouble:  # Told once, not at every beat.
                    log.exception("a reading of the rig failed; it goes on with the next")
                self._trouble = repr(error)
            else:
                self._trouble = None
            beat_s = self._next_beat(beat_s)
        try:
            self._source.close()
        except Exception:
            log.exception("the rig could not be closed")

    def _next_beat(self, last_s: float) -> float:
        """Wait for the beat after `last_s`, on whatever interval is in force, or for the end."""
        with self._wake:
            while not self._stopping:
                if self._wanted:
                    self._wanted = False
                    return last_s
                now = time.monotonic()
                beat_s = last_s + self._interval_s
                if now >= beat_s:
                    # Beats that were missed are not made up for.
                    return beat_s if now - beat_s < self._interval_s else now
                self._wake.wait(beat_s - now)
        return last_s

    def _tick(self) -> None:
        thresholds, self._thresholds = self._thresholds, None
        if thresholds is not None:
            self._book.set_thresholds(thresholds)
        snapshot = self._source.read()
        transitions = self._book.step(snapshot.cards, snapshot.time_s)
        self._on_tick(Tick(time.monotonic(), snapshot, transitions, self._book.standing))
