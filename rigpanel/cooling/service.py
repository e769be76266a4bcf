# SPDX-License-Identifier: MIT
"""What can be asked of the fan helper: curves, power limits, and the word that confirms them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.loop import CardCurves, CoolingLoop
from rigpanel.cooling.orders import CoolingError, card_to_set, refused
from rigpanel.cooling.power_limits import PowerLimits
from rigpanel.cooling.state import KeptState, StateError, StateStore
from rigpanel.cooling.status import status

TRIAL_RANGE_S = (1.0, 120.0)


@dataclass(slots=True)
class Trial:
    """A change undone unless it is confirmed in time; `PowerLimits` has the limit's part."""

    until_s: float
    curves_before: CardCurves
    persist: bool = False
    lease_before: int | None = None
    """The connection with which the curves from before end."""


@dataclass(frozen=True, slots=True)
class CurveOrder:
    """A curve to be put in force on a card, on one fan or on all."""

    uuid: str
    curve: FanCurve
    fan: int | None = None
    persist: bool = False
    confirm_within_s: float | None = None
    lease: int | None = None
    """The connection with which the curve ends."""


class CoolingService:
    """The loop with what people want of it; used from one thread."""

    def __init__(
        self,
        loop: CoolingLoop,
        store: StateStore | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop = loop
        self._store = store
        self._clock = clock
        self.limits = PowerLimits(loop, self._write)
        self._kept: dict[str, dict[int | None, FanCurve]] = {}
        """Curves that outlast the helper, by card and fan."""
        self._trials: dict[str, Trial] = {}
        self._leases: dict[str, int] = {}
        self._starts = 0

    def start(self) -> None:
        """Hand every fan back, then read what was kept and put it in force."""
        for problem in self.loop.hand_back_all():
            self.loop.tell(None, problem)
        if self._store is not None:
            try:
                kept = self._store.read()
            except StateError as error:
                self.loop.tell(None, str(error))
            else:
                self._kept, self.limits.changed = kept.curves, kept.limits
        for uuid, curves in self._kept.items():
            self.loop.set_curves(uuid, curves)

    def stop(self) -> list[str]:
        """Hand every fan back and undo what nobody has confirmed; say which fans stay.

        A client let go of after this takes nothing up again.
        """
        trials = list(self._trials)
        self._trials.clear()
        self._leases.clear()
        problems = self.loop.hand_back_all()
        for uuid in trials:
            self.limits.undo_trial(uuid)
        return problems

    def tick(self) -> None:
        """Undo what was not confirmed, follow the curves, and see to limits a driver forgot."""
        now = self._clock()
        for uuid, trial in list(self._trials.items()):
            if now >= trial.until_s:
                self._revert(uuid)
                self.loop.tell(uuid, "the change was not confirmed, so it was taken back")
        self.loop.tick()
        if self.loop.control.starts != self._starts:
            self._starts = self.loop.control.starts
            self.limits.look_again(self._trials)

    def status(self) -> dict[str, Any]:
        """Return everything there is to know, as JSON can hold it."""
        self.loop.read()
        now = self._clock()
        return status(
            self.loop,
            {uuid: max(0.0, trial.until_s - now) for uuid, trial in self._trials.items()},
            KeptState(self._kept, self.limits.changed),
        )

    def set_curve(self, order: CurveOrder) -> None:
        """Put a curve in force at once; raises CoolingError, and nothing is changed then."""
        vitals = card_to_set(self.loop, order.uuid)
        fans = [fan.fan for fan in vitals.fan_samples]
        if not fans:
            raise CoolingError(f"GPU {vitals.index} has no fan that can be set.")
        if order.fan is not None and order.fan not in fans:
            raise CoolingError(
                f"GPU {vitals.index} has no fan {order.fan}; it has {', '.join(map(str, fans))}."
            )
        before = self.loop.curves(order.uuid)
        after: dict[int | None, FanCurve] = {} if order.fan is None else dict(before)
        after[order.fan] = order.curve
        trial = self._trials.get(order.uuid)
        self.loop.set_curves(order.uuid, after)
        self.loop.tick()
        held = fans if order.fan is None else [order.fan]
        for fan in held:
            hold = self.loop.hold(order.uuid, fan)
            if hold is not None and hold.refused is not None:
                self.loop.set_curves(order.uuid, before)
                self.loop.tick()
                raise CoolingError(refused(vitals, hold.refused, f"fan {fan}"))
        self.loop.read_again()
        if order.confirm_within_s is not None:
            self._begin_trial(order.uuid, before, order.confirm_within_s)
            self._trials[order.uuid].persist = order.persist
        self._set_lease(order.uuid, order.lease)
        if order.confirm_within_s is not None:
            return
        if trial is not None:
            others = trial.curves_before if order.fan is not None else {}
            trial.curves_before = {**others, order.fan: order.curve}
            trial.lease_before = order.lease
            if trial.curves_before == after and not self.limits.on_trial(order.uuid):
                del self._trials[order.uuid]
        if order.persist:
            self._keep_curves(order.uuid)

    def confirm(self, uuid: str) -> None:
        """Keep a change that is on trial; raises CoolingError where none is."""
        trial = self._trials.pop(uuid, None)
        if trial is None:
            raise CoolingError("There is no change to confirm: it was already kept or taken back.")
        confirmed_limit = self.limits.confirm(uuid)
        if trial.persist:
            self._keep_curves(uuid)
        elif confirmed_limit:
            self._write()

    def revert(self, uuid: str) -> None:
        """Undo a change on trial at once; raises CoolingError where none is."""
        if uuid not in self._trials:
            raise CoolingError("There is no change to take back.")
        self._revert(uuid)
        self.loop.tick()

    def automatic(self, uuid: str | None) -> None:
        """Hand one card's fans back, or every card's, and forget the curves kept for them."""
        self.loop.read()
        uuids = [vitals.uuid for vitals in self.loop.vitals] if uuid is None else [uuid]
        if uuid is None:
            uuids += [known for known in self._kept if known not in uuids]
        elif self.loop.card(uuid) is None and uuid not in self._kept:
            card_to_set(self.loop, uuid)
        changed = False
        for each in uuids:
            if self._trials.pop(each, None) is not None:
                self.limits.undo_trial(each)
            self._leases.pop(each, None)
            self.loop.set_curves(each, {})
            changed |= self._kept.pop(each, None) is not None
        failed = self.loop.release_now(uuids)
        if changed:
            self._write()
        if failed:
            raise CoolingError(failed[0])

    def set_power_limit(
        self, uuid: str, watts: float, confirm_within_s: float | None = None
    ) -> None:
        """Set a limit inside the card's own range and read it back; raises CoolingError."""
        self.limits.set(uuid, watts, on_trial=confirm_within_s is not None)
        if confirm_within_s is not None:
            self._begin_trial(uuid, self.loop.curves(uuid), confirm_within_s)
        else:
            self._settle_limit(uuid)

    def reset_power_limits(self, uuid: str | None) -> list[str]:
        """Put back one card's limit, or all that nobody else has changed since.

        Returns a sentence for each that is left; raises CoolingError where a card failed.
        """
        left: list[str] = []
        try:
            if uuid is None:
                left = self.limits.reset_all()
            else:
                self.limits.reset(uuid)
        finally:
            for each in [each for each in self._trials if not self.limits.on_trial(each)]:
                self._settle_limit(each)
        return left

    def end_lease(self, lease: int) -> None:
        """Take back what a client that is gone had put in force for as long as it lived."""
        for uuid, trial in self._trials.items():
            if trial.lease_before == lease:
                trial.curves_before = self._kept.get(uuid, {})
                trial.lease_before = None
        for uuid in [uuid for uuid, owner in self._leases.items() if owner == lease]:
            del self._leases[uuid]
            if uuid in self._trials:
                self._revert(uuid)
            else:
                self.loop.set_curves(uuid, self._kept.get(uuid, {}))
            self.loop.tell(uuid, "the program that held its fans is gone")
            self.loop.tick()

    def _begin_trial(self, uuid: str, curves: CardCurves, within_s: float) -> None:
        """Count down anew; what was confirmed last is what a revert goes back to."""
        until_s = self._clock() + min(max(within_s, TRIAL_RANGE_S[0]), TRIAL_RANGE_S[1])
        running = self._trials.get(uuid)
        if running is None:
            lease = self._leases.get(uuid)
            self._trials[uuid] = Trial(until_s, dict(curves), lease_before=lease)
        else:
            running.until_s = until_s

    def _revert(self, uuid: str) -> None:
        trial = self._trials.pop(uuid)
        self._set_lease(uuid, trial.lease_before)
        self.loop.set_curves(uuid, trial.curves_before)
        self.limits.undo_trial(uuid)

    def _set_lease(self, uuid: str, lease: int | None) -> None:
        self._leases.pop(uuid, None)
        if lease is not None:
            self._leases[uuid] = lease

    def _settle_limit(self, uuid: str) -> None:
        """Let a trial be of the curves alone: the limit was since set for good."""
        trial = self._trials.get(uuid)
        if trial is not None and trial.curves_before == self.loop.curves(uuid):
            del self._trials[uuid]

    def _keep_curves(self, uuid: str) -> None:
        trial = self._trials.get(uuid)
        curves = self.loop.curves(uuid) if trial is None else trial.curves_before
        self._kept[uuid] = dict(curves)
        try:
            self._write()
        except StateError as error:
            raise StateError(
                f"The curve is in force, but will not outlast the helper: {error}"
            ) from error

    def _write(self) -> None:
        if self._store is not None:
            self._store.write(KeptState(self._kept, self.limits.changed))
