# SPDX-License-Identifier: MIT
"""Recent readings of every card in rings of fixed size, in the shape that charts draw."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample, Missing, Reading
from rigpanel.watch.tick import Tick

CAPACITY = 36_000
"""Ticks kept a card: one hour at ten a second, ten hours at one; 1.7 MB a card when full."""
BREAK_INTERVALS = 5.0
"""A pause of more than so many intervals is a time nobody watched, and the line breaks."""
BREAK_AT_LEAST_S = 2.0

Times: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HistoryView:
    """Readings in order of time, as windows into the ring: good until the next append.

    Every array has the shape (n,). A missing reading is NaN here, and only here, for drawing.
    """

    time_s: Times
    """By `time.monotonic`; never decreasing."""
    temperature_c: Values
    power_w: Values
    limit_w: Values
    duty_pct: Values

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True, slots=True)
class LastReadings:
    """What the newest tick brought, with the reason where a reading is missing."""

    temperature_c: Reading[float]
    power_w: Reading[float]
    limit_w: Reading[float]
    duty_pct: Reading[float]
    """Mean of the card's fans."""


def mean_duty_pct(sample: GpuSample) -> Reading[float]:
    """Mean duty of the card's fans in percent; a card without fans has NOT_SUPPORTED."""
    if isinstance(sample.fans, Missing):
        return sample.fans
    duties = [fan.duty_pct for fan in sample.fans]
    known = [duty for duty in duties if not isinstance(duty, Missing)]
    if known:
        return sum(known) / len(known)
    return next((duty for duty in duties if isinstance(duty, Missing)), Missing.NOT_SUPPORTED)


class CardHistory:
    """One card's ring: appending takes the same short time always, reading it copies nothing.

    Everything is written twice, half a buffer apart, so that the newest `capacity` readings
    always lie in one piece.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._time_s: Times = np.empty(2 * capacity, np.float64)
        self._values: Values = np.empty((4, 2 * capacity), np.float32)
        self._next = 0
        self._count = 0
        self._last: LastReadings | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def last(self) -> LastReadings | None:
        """The newest readings; None before the first."""
        return self._last

    def append(self, time_s: float, readings: LastReadings) -> None:
        """Take one tick's readings at `time_s`, which is not before the one appended last."""
        self._last = readings
        self._put(
            time_s,
            (readings.temperature_c, readings.power_w, readings.limit_w, readings.duty_pct),
        )

    def break_line(self) -> None:
        """Keep the next reading from being joined to the one before it."""
        if self._count:
            newest_s = float(self._time_s[(self._next - 1) % self._capacity])
            self._put(newest_s, (Missing.READ_FAILED,) * 4)

    def since(self, time_s: float) -> HistoryView:
        """Return readings from `time_s` on, with the one before it, so that lines enter."""
        view = self.all()
        first = max(0, int(np.searchsorted(view.time_s, time_s)) - 1)
        return HistoryView(
            view.time_s[first:],
            view.temperature_c[first:],
            view.power_w[first:],
            view.limit_w[first:],
            view.duty_pct[first:],
        )

    def all(self) -> HistoryView:
        """Everything kept, oldest first."""
        start = self._next if self._count == self._capacity else 0
        part = slice(start, start + self._count)
        return HistoryView(self._time_s[part], *(row[part] for row in self._values))

    def _put(self, time_s: float, readings: tuple[Reading[float], ...]) -> None:
        column = [np.nan if isinstance(value, Missing) else value for value in readings]
        for place in (self._next, self._next + self._capacity):
            self._time_s[place] = time_s
            self._values[:, place] = column
        self._next = (self._next + 1) % self._capacity
        self._count = min(self._count + 1, self._capacity)


class RigHistory:
    """A ring for every card seen since the start, by UUID; used from one thread."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._cards: dict[str, CardHistory] = {}
        self._before: Tick | None = None
        self._interval_s = 1.0

    @property
    def now_s(self) -> float:
        """When the newest tick was read, by `time.monotonic`; 0 before the first."""
        return 0.0 if self._before is None else self._before.monotonic_s

    @property
    def uuids(self) -> tuple[str, ...]:
        """The cards known, in the order in which they appeared."""
        return tuple(self._cards)

    def card(self, uuid: str) -> CardHistory:
        """Return the ring of a card, a new one for a card not seen before."""
        return self._cards.setdefault(uuid, CardHistory(self._capacity))

    def append(self, tick: Tick) -> None:
        """Take one tick: a card that is not in it goes on with gaps."""
        if self._paused_before(tick):
            for history in self._cards.values():
                history.break_line()
        self._before = tick
        present = {sample.uuid: sample for sample in tick.snapshot.cards}
        for uuid in [known for known in self._cards if known not in present]:
            if uuid.startswith(UNKNOWN_UUID):
                del self._cards[uuid]  # the card has told its name and goes on under it
                continue
            gpus = tick.snapshot.gpus
            reason = gpus if isinstance(gpus, Missing) else Missing.GPU_LOST
            self._cards[uuid].append(tick.monotonic_s, LastReadings(*(reason,) * 4))
        for uuid, sample in present.items():
            self.card(uuid).append(
                tick.monotonic_s,
                LastReadings(
                    sample.temperature_c,
                    sample.power_draw_w,
                    sample.power_limit_w,
                    mean_duty_pct(sample),
                ),
            )

    def _paused_before(self, tick: Tick) -> bool:
        """Whether nobody watched for a while: Linux stops the monotonic clock in suspend."""
        if self._before is None:
            return False
        step_s = tick.monotonic_s - self._before.monotonic_s
        wall_s = tick.snapshot.time_s - self._before.snapshot.time_s
        limit_s = max(BREAK_INTERVALS * self._interval_s, BREAK_AT_LEAST_S)
        self._interval_s = step_s
        return max(step_s, wall_s) > limit_s
