# SPDX-License-Identifier: MIT
"""The loop over all cards: keeps each fan on its curve, and hands back those that have none."""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.fan_hold import FanHold, duty_range, release
from rigpanel.rig.readings import UNKNOWN_UUID, FanSample, Missing, Reading
from rigpanel.rig.vitals import CardVitals, CoolingControl

TICK_S, FAST_TICK_S = 1.0, 0.25
FAST_RISE_C = 3.0
IDLE_READ_S = 5.0
"""How often cards are read while no fan is held and nobody asks."""
FRESH_S = 0.25
SLEPT_S = 2.0
"""A jump of the clock that runs on in suspend against the one that does not."""
SETTLE_S = 2.0
"""What a driver is given after waking before it is asked anything."""
ASLEEP_AT_MOST_S = 60.0
"""Awake time after which a suspend that was announced and never ended is forgotten."""
EVENTS_KEPT = 50
RELEASED_WITHIN_S = 3.0
"""So long a fan is handed back whose driver takes that and does not show it."""
SHOWN_S = 0.1

CardCurves: TypeAlias = Mapping[int | None, FanCurve]
"""A card's curves by fan; None is for every fan without one of its own."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person should know of."""

    time_s: float
    """Seconds since the epoch."""
    uuid: str | None
    sentence: str


def boot_s() -> float:
    """Seconds since the boot, those in suspend with them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class CoolingLoop:
    """Owns the curves in force; `tick` follows them once."""

    def __init__(
        self,
        control: CoolingControl,
        clock: Callable[[], float] = time.monotonic,
        boot_clock: Callable[[], float] = boot_s,
    ) -> None:
        self.control = control
        self._clock = clock
        self._boot_clock = boot_clock
        self._curves: dict[str, CardCurves] = {}
        self._holds: dict[tuple[str, int], FanHold] = {}
        self._releasing: dict[tuple[str, int], float | None] = {}
        """Fans to be handed back, with when the driver first took that, None until it has."""
        self._met: set[str] = set()
        self._vitals: dict[str, CardVitals] = {}
        self._vitals_before: dict[str, CardVitals] = {}
        """As they were at the last tick; in between they are read for who asks."""
        self._starts = 0
        self._read_at_s: float | None = None
        self._asleep_since_s: float | None = None
        self._wait_until_s: float | None = None
        self._apart_s = boot_clock() - clock()
        self._rose_fast = False
        self._told: dict[tuple[str, int], str | None] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)

    @property
    def wait_s(self) -> float:
        """How long to wait before the next tick."""
        return FAST_TICK_S if self._rose_fast else TICK_S

    @property
    def vitals(self) -> tuple[CardVitals, ...]:
        """The cards as they were read last."""
        return tuple(self._vitals.values())

    def card(self, uuid: str) -> CardVitals | None:
        """Return a card as it was read last."""
        return self._vitals.get(uuid)

    def curves(self, uuid: str) -> CardCurves:
        """Return the curves in force for a card, by fan."""
        return self._curves.get(uuid, {})

    def curve_for(self, uuid: str, fan: int) -> FanCurve | None:
        """Return the curve in force for a fan: its own, or the card's."""
        curves = self.curves(uuid)
        return curves.get(fan, curves.get(None))

    def hold(self, uuid: str, fan: int) -> FanHold | None:
        """Return how a fan is held, None where no curve holds it."""
        return self._holds.get((uuid, fan))

    def holds_of(self, uuid: str) -> list[FanHold]:
        """Return how the fans of a card are held, those that no curve holds left out."""
        return [hold for (card, _), hold in self._holds.items() if card == uuid]

    def set_curves(self, uuid: str, curves: CardCurves) -> None:
        """Put a card's curves in force from the next tick on; none of them hands its fans back.

        A fan whose curve is set again is taken even from another program: this was asked for.
        """
        for key in [key for key in self._holds if key[0] == uuid]:
            hold = self._holds[key]
            if curves.get(key[1], curves.get(None)) != hold.curve or hold.trouble is not None:
                self._drop_hold(key)
        if curves:
            self._curves[uuid] = dict(curves)
        else:
            self._curves.pop(uuid, None)

    def tick(self) -> None:
        """Read the cards and follow every curve once; one card's trouble stops no other."""
        now = self._clock()
        if self._sleeps(now):
            return
        idle = not (self._curves or self._holds or self._releasing)
        if idle and self._read_at_s is not None and now - self._read_at_s < IDLE_READ_S:
            return
        self.read(now)
        self._rose_fast = any(
            _rise_c(self._vitals_before.get(uuid), vitals) >= FAST_RISE_C
            for uuid, vitals in self._vitals.items()
        )
        self._vitals_before = self._vitals
        for vitals in self.vitals:
            self._step_card(vitals, now)
        for key in list(self._releasing):
            hold = self._holds.get(key)
            if hold is None or hold.ordered is None:
                self._release_again(key, now)

    def read(self, now: float | None = None) -> None:
        """Read every card, unless that has just been done."""
        if now is None:
            now = self._clock()
            if self._read_at_s is not None and now - self._read_at_s < FRESH_S:
                return
        if self._asleep_since_s is not None or self._wait_until_s is not None:
            return
        self._vitals = {vitals.uuid: vitals for vitals in self.control.read()}
        self._read_at_s = now
        if self.control.starts != self._starts:
            self._starts = self.control.starts
            for hold in self._holds.values():
                hold.forget_order()
        for vitals in self.vitals:
            self._meet(vitals)

    def read_again(self) -> None:
        """Read every card, though that was just done: something was set."""
        self._read_at_s = None
        self.read()

    def hand_back_all(self) -> list[str]:
        """Hand every fan of every card back, and return a sentence for each that stays.

        A fan that is held is handed back though its card does not tell its fans just now.
        """
        held = set(self._holds) | set(self._releasing)
        self._curves.clear()
        self._holds.clear()
        self._releasing.clear()
        cards = {vitals.uuid: vitals for vitals in self.control.read()}
        for vitals in cards.values():
            held |= {(vitals.uuid, fan.fan) for fan in vitals.fan_samples}
            if not isinstance(vitals.fans, Missing):
                self._met.add(vitals.uuid)
        problems = {}
        for uuid, fan in sorted(held):
            failed = release(self.control, uuid, fan)
            if failed is not None:
                problems[uuid, fan] = _stays(cards.get(uuid), fan, failed)
        left = held - problems.keys()
        for last in (False, False, True):  # taken is not done: read back
            left &= {key for card in self.control.read() for key in _manual(card)}
            if not left:
                break
            time.sleep(SHOWN_S)
            for key in left:
                release(self.control, *key)
                if last:
                    self.control.set_duty(*key, 100)
                    problems[key] = _stays(cards.get(key[0]), key[1], None)
        return list(problems.values())

    def release_now(self, uuids: Collection[str]) -> list[str]:
        """Hand every fan of these cards back, whoever holds it; say which stay for now."""
        problems = []
        for vitals in (self._vitals[uuid] for uuid in uuids if uuid in self._vitals):
            for fan in vitals.fan_samples:
                key = (vitals.uuid, fan.fan)
                failed = release(self.control, *key)
                self._releasing[key] = self._clock() if failed is None else None  # until seen
                if failed is not None:
                    problems.append(_stays(vitals, fan.fan, failed))
        for uuid, number in self._releasing:
            card = self._vitals.get(uuid)
            if uuid in uuids and (card is None or not card.fan_samples):
                problems.append(_stays(card, number, Missing.GPU_LOST))
        self.read_again()
        return problems

    def suspend(self) -> None:
        """Hand the fans back before the machine sleeps; the curves are kept for the waking."""
        self._asleep_since_s = self._clock()
        for key, hold in self._holds.items():
            failed = release(self.control, *key)
            if failed is not None:
                self.tell(key[0], _stays(self._vitals.get(key[0]), key[1], failed))
            hold.forget_order()

    def resume(self) -> None:
        """Begin anew after the machine has slept: wait a moment, then find the cards again."""
        self._asleep_since_s = None
        self._wait_until_s = self._clock() + SETTLE_S

    def tell(self, uuid: str | None, sentence: str) -> None:
        """Keep something for people, and log it."""
        card = None if uuid is None else self._vitals.get(uuid)
        log.warning("%s%s", "" if card is None else f"GPU {card.index}: ", sentence)
        self.events.append(Event(time.time(), uuid, sentence))

    def _sleeps(self, now: float) -> bool:
        """Whether the driver is to be left alone at this tick."""
        apart_s = self._boot_clock() - now
        slept = apart_s - self._apart_s > SLEPT_S
        self._apart_s = apart_s
        if slept:
            self.resume()
        if self._asleep_since_s is not None:
            if now - self._asleep_since_s < ASLEEP_AT_MOST_S:
                return True
            self.resume()
        if self._wait_until_s is None:
            return False
        if now < self._wait_until_s:
            return True
        self._wait_until_s = None
        self.control.restart()
        self._read_at_s = None
        return False

    def _meet(self, vitals: CardVitals) -> None:
        """Hand a card's fans back when it is seen first: whatever was left is not ours."""
        if vitals.uuid in self._met or isinstance(vitals.fans, Missing):
            return
        self._met.add(vitals.uuid)
        for fan in vitals.fans:
            if release(self.control, vitals.uuid, fan.fan) is not None:
                self._releasing[vitals.uuid, fan.fan] = None

    def _step_card(self, vitals: CardVitals, now: float) -> None:
        if vitals.uuid.startswith(UNKNOWN_UUID):
            return
        samples = {fan.fan: fan for fan in vitals.fan_samples}
        targets = dict(zip(samples, vitals.targets_pct, strict=False))
        held = {fan for uuid, fan in self._holds if uuid == vitals.uuid}
        for fan in sorted(samples.keys() | held):
            self._step_fan(
                vitals, fan, samples.get(fan), targets.get(fan, Missing.READ_FAILED), now
            )

    def _step_fan(
        self,
        vitals: CardVitals,
        fan: int,
        sample: FanSample | None,
        target_pct: Reading[float],
        now: float,
    ) -> None:
        key = (vitals.uuid, fan)
        curve = self.curve_for(*key)
        hold = self._holds.get(key)
        if curve is None:
            if hold is not None:
                self._drop_hold(key)
            return
        if hold is None:
            if sample is None:
                return
            hold = self._holds[key] = FanHold(curve, duty_range(sample), vitals.uuid, fan)
        hold.step(self.control, vitals, sample, target_pct, now)
        if hold.ordered is not None:
            self._releasing.pop(key, None)
        if hold.trouble != self._told.get(key):
            self._told[key] = hold.trouble
            self.tell(
                vitals.uuid,
                f"fan {fan} is back on its curve"
                if hold.trouble is None
                else f"fan {fan} is not on its curve: {hold.trouble}",
            )

    def _drop_hold(self, key: tuple[str, int]) -> None:
        """Forget how a fan was held, and hand it back unless another curve takes it."""
        self._holds.pop(key, None)
        self._told.pop(key, None)
        self._releasing[key] = None

    def _release_again(self, key: tuple[str, int], now: float) -> None:
        """Hand a fan back until that is seen; blow at full where it shows no effect."""
        vitals = self._vitals.get(key[0])
        taken_s = self._releasing[key]
        if taken_s is not None and (vitals is None or key not in _manual(vitals)):
            del self._releasing[key]
        elif taken_s is not None and now - taken_s >= RELEASED_WITHIN_S:
            del self._releasing[key]
            self.control.set_duty(*key, 100)
            self.tell(key[0], _stays(vitals, key[1], None))
        elif release(self.control, *key) is None and taken_s is None:
            self._releasing[key] = now


def _rise_c(before: CardVitals | None, now: CardVitals) -> float:
    if before is None or isinstance(before.temperature_c, Missing):
        return 0.0
    return (
        0.0 if isinstance(now.temperature_c, Missing) else now.temperature_c - before.temperature_c
    )


def _manual(vitals: CardVitals) -> set[tuple[str, int]]:
    return {(vitals.uuid, fan.fan) for fan in vitals.fan_samples if fan.policy == "manual"}


def _stays(vitals: CardVitals | None, fan: int, why: Missing | None) -> str:
    said = "it stays in manual" if why is None else why.value.replace("_", " ")
    card = "a card that is gone" if vitals is None else f"GPU {vitals.index}"
    return f"Fan {fan} of {card} could not be handed back ({said})."
