# SPDX-License-Identifier: MIT
"""The charts' clock: a few drawings a tick, so that eight cards cost little more than two."""

import time
from collections.abc import Sequence
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtGui import QRegion

TICK_MS = 40
PARTS_A_TICK = 2
"""Bounds what drawing may take of the Qt thread, however many cards there are."""
LEAST_BETWEEN_S, MOST_BETWEEN_S = 0.2, 1.0
MOVES_A_SPAN = 600.0
"""A chart is about so many pixels wide: drawing it more often would move it by less than one."""


class Part(Protocol):
    """Something on the screen that is drawn anew when its data has changed."""

    dirty: bool

    def redraw(self) -> None:
        """Draw, and clear `dirty`."""
        ...

    def visibleRegion(self) -> QRegion:
        """Return what of it can be seen: nothing while it is scrolled away or hidden."""
        ...


class RedrawClock(QObject):
    """Draws dirty parts that can be seen, in turn, each at most five times a second."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._parts: list[Part] = []
        self._drawn_s: dict[int, float] = {}
        self._place = 0
        self._between_s = LEAST_BETWEEN_S
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    @property
    def running(self) -> bool:
        """Whether the timer ticks; it stops when nothing that can be seen is dirty."""
        return self._timer.isActive()

    def set_parts(self, parts: Sequence[Part]) -> None:
        """Draw these from now on."""
        self._parts = list(parts)
        self._drawn_s = {id(part): self._drawn_s.get(id(part), 0.0) for part in parts}

    def set_span(self, span_s: float) -> None:
        """Draw as often as charts of `span_s` seconds can be seen to move."""
        self._between_s = min(max(span_s / MOVES_A_SPAN, LEAST_BETWEEN_S), MOST_BETWEEN_S)

    def wake(self) -> None:
        """Start ticking: something became dirty, or came into view."""
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        """Stop ticking until woken."""
        self._timer.stop()

    def draw_all(self) -> None:
        """Draw everything that can be seen at once, after a change that concerns all of it."""
        for part in self._parts:
            if not part.visibleRegion().isEmpty():
                self._draw(part)

    @Slot()
    def _tick(self) -> None:
        now_s = time.monotonic()
        waiting = drawn = 0
        count = len(self._parts)
        for step in range(count):
            part = self._parts[(self._place + step) % count]
            if not part.dirty or part.visibleRegion().isEmpty():
                continue
            waiting += 1
            if now_s - self._drawn_s[id(part)] < self._between_s:
                continue
            if drawn < PARTS_A_TICK:
                self._draw(part)
                drawn += 1
                if drawn == PARTS_A_TICK:
                    self._place = (self._place + step + 1) % count
                    break
        if not waiting:
            self._timer.stop()

    def _draw(self, part: Part) -> None:
        part.redraw()
        self._drawn_s[id(part)] = time.monotonic()
