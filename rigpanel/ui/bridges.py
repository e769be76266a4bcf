# SPDX-License-Identifier: MIT
"""Bridges: what threads and coroutines produce, as signals to slots on the Qt thread."""

from PySide6.QtCore import QObject, Signal

from rigpanel.engine.engine import Engine


class WatchBridge(QObject):
    """The sampler thread's ticks as a Qt signal."""

    tick_ready = Signal(object)
    """A `watch.tick.Tick`, on the Qt thread."""


class EngineBridge(QObject):
    """The engine's coroutines as slots, and what they bring as signals."""

    status_changed = Signal(object)
    """An `EngineStatus`."""
    load_progressed = Signal(float)
    """0 to 1."""
    model_loaded = Signal(object)
    """A `LoadedModel`."""
    load_failed = Signal(str)
    load_cancelled = Signal()
    prefill_progressed = Signal(object)
    """A `PrefillProgressed`."""
    text_ready = Signal(str, int)
    """Text since the last signal (about 30 a second) and tokens so far."""
    reply_finished = Signal(object)
    """A `ReplyStats`; every text came before it."""
    reply_failed = Signal(str)

    def __init__(self, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
