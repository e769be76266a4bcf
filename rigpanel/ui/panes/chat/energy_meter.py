# SPDX-License-Identifier: MIT
"""Joules of each card over a reply: its counters read as the reply begins and as it ends."""

import time

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from rigpanel.rig.energy import CardEnergy, energy_by_card
from rigpanel.ui.bridges import WatchBridge
from rigpanel.watch.tick import Tick

PATIENCE_MS = 5000
SLACK_S = 0.1
SLACK_SHARE = 0.1
"""How much longer or shorter than the reply the time between the two readings may be."""


class EnergyMeter(QObject):
    """One reply at a time; both readings are asked for, so that they lie at its borders."""

    measured = Signal(object, str)
    """A tuple of `CardEnergy`, empty with the reason where it could not be measured."""

    def __init__(self, watch: WatchBridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watch = watch
        self._begun_s: float | None = None
        self._ended_s: float | None = None
        self._first: Tick | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._give_up)
        watch.tick_ready.connect(self._take_tick)

    @Slot()
    def begin(self) -> None:
        """Measure a reply that begins now; forget the one before it."""
        self._begun_s, self._ended_s, self._first = time.monotonic(), None, None
        self._patience.stop()
        self._watch.reading_wanted.emit()

    @Slot()
    def end(self) -> None:
        """Measure up to now, where the reply has ended; `measured` follows."""
        if self._begun_s is not None:
            self._ended_s = time.monotonic()
            self._patience.start()
            self._watch.reading_wanted.emit()

    @Slot(object)
    def _take_tick(self, tick: Tick) -> None:
        if self._begun_s is None or tick.monotonic_s < self._begun_s:
            return
        if self._first is None:
            self._first = tick
        if self._ended_s is None or tick.monotonic_s < self._ended_s:
            return
        took_s = self._ended_s - self._begun_s
        read_s = tick.monotonic_s - self._first.monotonic_s
        energy = energy_by_card(self._first.snapshot, tick.snapshot)
        if tick.snapshot.simulated:
            self._tell((), "No energy: the rig is simulated.")
        elif abs(read_s - took_s) > SLACK_S + SLACK_SHARE * took_s:
            self._tell(
                (),
                f"No energy: the cards were read over {read_s:.1f} s, the reply took "
                f"{took_s:.1f} s.",
            )
        else:
            self._tell(energy, "" if energy else "No energy: there is no card that tells it.")

    @Slot()
    def _give_up(self) -> None:
        self._tell((), "No energy: the cards were not read in time.")

    def _tell(self, energy: tuple[CardEnergy, ...], reason: str) -> None:
        self._begun_s = self._ended_s = self._first = None
        self._patience.stop()
        self.measured.emit(energy, reason)
