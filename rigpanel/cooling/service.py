# SPDX-License-Identifier: MIT
"""What can be asked of the fan helper: curves, power limits, and the word that confirms them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.loop import CardCurves, CoolingLoop
from rigpanel.cooling.state import KeptState, StateError, StateStore
from rigpanel.cooling.status import status
from rigpanel.errors import RigpanelError
from rigpanel.rig.readings import Missing
from rigpanel.rig.vitals import CardVitals

TRIAL_RANGE_S = (1.0, 120.0)
LIMIT_TOLERANCE_W = 1.0


class CoolingError(RigpanelError):
    """An order that cannot be carried out; the text says on which card and what to do."""


@dataclass(slots=True)
class Trial:
    """A change that is undone unless it is confirmed in time."""

    until_s: float
    curves_before: CardCurves
    limit_before_w: float | None
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
        self._kept = KeptState()
        self._trials: dict[str, Trial] = {}
        self._leases: dict[str, int] = {}
        self._limits_w: dict[str, float] = {}
        self._starts = 0

    def start(self) -> None:
        """Hand every fan back, then read what was kept and put it in force."""
        for problem in self.loop.hand_back_all():
            self.loop.tell(None, problem)
        if self._store is not None:
            try:
                self._kept = self._store.read()
            except StateError as error:
                self.loop.tell(None, str(error))
        for uuid, curves in self._kept.curves.items():
            self.loop.set_curves(uuid, curves)

    def tick(self) -> None:
        """Undo what was not confirmed, follow the curves, and set again what a driver forgot."""
        now = self._clock()
        for uuid, trial in list(self._trials.items()):
            if now >= trial.until_s:
                self._revert(uuid)
                self.loop.tell(uuid, "the change was not confirmed, so it was taken back")
        self.loop.tick()
        if self.loop.control.starts != self._starts:
            self._starts = self.loop.control.starts
            for uuid, watts in self._limits_w.items():
                self.loop.control.set_power_limit(uuid, watts)

    def status(self) -> dict[str, Any]:
        """Return everything there is to know, as JSON can hold it."""
        self.loop.read()
        now = self._clock()
        return status(
            self.loop,
            {uuid: max(0.0, trial.until_s - now) for uuid, trial in self._trials.items()},
            self._kept,
        )

    def set_curve(self, order: CurveOrder) -> None:
        """Put a curve in force at once; raises CoolingError, and nothing is changed then."""
        vitals = self._card(order.uuid)
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
                raise CoolingError(_refused(vitals, hold.refused, f"fan {fan}"))
        self.loop.read_again()
        if order.confirm_within_s is not None:
            self._begin_trial(order.uuid, before, None, order.confirm_within_s)
            self._trials[order.uuid].persist = order.persist
        self._set_lease(order.uuid, order.lease)
        if order.confirm_within_s is not None:
            return
        if trial is not None:
            others = trial.curves_before if order.fan is not None else {}
            trial.curves_before = {**others, order.fan: order.curve}
            trial.lease_before = order.lease
            if trial.limit_before_w is None and trial.curves_before == after:
                del self._trials[order.uuid]
        if order.persist:
            self._keep_curves(order.uuid)

    def confirm(self, uuid: str) -> None:
        """Keep a change that is on trial; raises CoolingError where none is."""
        trial = self._trials.pop(uuid, None)
        if trial is None:
            raise CoolingError("There is no change to confirm: it was already kept or taken back.")
        if trial.persist:
            self._keep_curves(uuid)

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
            uuids += [known for known in self._kept.curves if known not in uuids]
        elif self.loop.card(uuid) is None and uuid not in self._kept.curves:
            self._card(uuid)
        changed = False
        for each in uuids:
            trial = self._trials.pop(each, None)
            if trial is not None:
                self._undo_limit(each, trial.limit_before_w)
            self._leases.pop(each, None)
            self.loop.set_curves(each, {})
            changed |= self._kept.curves.pop(each, None) is not None
        failed = self.loop.release_now(uuids)
        if changed:
            self._write()
        if failed:
            raise CoolingError(failed[0])

    def set_power_limit(
        self, uuid: str, watts: float, confirm_within_s: float | None = None
    ) -> None:
        """Set a limit inside the card's own range and read it back; raises CoolingError."""
        vitals = self._card(uuid)
        low, high, before = (
            vitals.power_limit_min_w,
            vitals.power_limit_max_w,
            vitals.power_limit_w,
        )
        if isinstance(low, Missing) or isinstance(high, Missing) or isinstance(before, Missing):
            raise CoolingError(f"GPU {vitals.index} does not let its power limit be set.")
        if not low <= watts <= high:
            raise CoolingError(
                f"GPU {vitals.index} takes a power limit from {low:g} to {high:g} W, not "
                f"{watts:g} W."
            )
        try:
            self._order_limit(vitals, watts)
        except CoolingError:
            self.loop.control.set_power_limit(uuid, before)
            raise
        self._limits_w[uuid] = watts
        first = uuid not in self._kept.limit_before_w
        self._kept.limit_before_w.setdefault(uuid, before)
        if confirm_within_s is not None:
            self._begin_trial(uuid, self.loop.curves(uuid), before, confirm_within_s)
        else:
            self._settle_limit(uuid)
        if first:
            self._write()

    def reset_power_limits(self, uuid: str | None) -> None:
        """Put back the limits from before this helper changed them.

        A card that fails stops no other; raises CoolingError for the first of them.
        """
        failed = []
        for each in list(self._kept.limit_before_w) if uuid is None else [uuid]:
            try:
                self._reset_power_limit(each)
            except CoolingError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _reset_power_limit(self, uuid: str) -> None:
        vitals = self._card(uuid)
        before = self._kept.limit_before_w.get(uuid, vitals.power_limit_default_w)
        if isinstance(before, Missing):
            raise CoolingError(f"GPU {vitals.index} does not tell its usual power limit.")
        self._order_limit(vitals, before)
        self._settle_limit(uuid)
        self._limits_w.pop(uuid, None)
        if self._kept.limit_before_w.pop(uuid, None) is not None:
            self._write()

    def end_lease(self, lease: int) -> None:
        """Take back what a client that is gone had put in force for as long as it lived."""
        for uuid, trial in self._trials.items():
            if trial.lease_before == lease:
                trial.curves_before = self._kept.curves.get(uuid, {})
                trial.lease_before = None
        for uuid in [uuid for uuid, owner in self._leases.items() if owner == lease]:
            del self._leases[uuid]
            if uuid in self._trials:
                self._revert(uuid)
            else:
                self.loop.set_curves(uuid, self._kept.curves.get(uuid, {}))
            self.loop.tell(uuid, "the program that held its fans is gone")
            self.loop.tick()

    def _card(self, uuid: str) -> CardVitals:
        self.loop.read()
        vitals = self.loop.card(uuid)
        if vitals is None:
            problem = self.loop.control.problem
            raise CoolingError(problem or f"There is no card {uuid}. `rigpanel gpus` lists them.")
        if vitals.temperature_c is Missing.GPU_LOST:
            raise CoolingError(
                f"GPU {vitals.index} has fallen off the bus, so nothing can be set on it. "
                "Reboot, and look at its power cables and riser."
            )
        return vitals

    def _begin_trial(
        self,
        uuid: str,
        curves: CardCurves,
        limit_w: float | None,
        within_s: float,
    ) -> None:
        """Count down anew; what was confirmed last is what a revert goes back to."""
        until_s = self._clock() + min(max(within_s, TRIAL_RANGE_S[0]), TRIAL_RANGE_S[1])
        running = self._trials.get(uuid)
        if running is None:
            lease = self._leases.get(uuid)
            self._trials[uuid] = Trial(until_s, dict(curves), limit_w, lease_before=lease)
            return
        running.until_s = until_s
        if running.limit_before_w is None:
            running.limit_before_w = limit_w

    def _revert(self, uuid: str) -> None:
        trial = self._trials.pop(uuid)
        self._set_lease(uuid, trial.lease_before)
        self.loop.set_curves(uuid, trial.curves_before)
        self._undo_limit(uuid, trial.limit_before_w)

    def _set_lease(self, uuid: str, lease: int | None) -> None:
        self._leases.pop(uuid, None)
        if lease is not None:
            self._leases[uuid] = lease

    def _undo_limit(self, uuid: str, watts: float | None) -> None:
        """Put back the limit from before a trial, if that had changed it."""
        if watts is None:
            return
        failed = self.loop.control.set_power_limit(uuid, watts)
        self._limits_w[uuid] = watts  # and again when the driver is back
        if failed is not None:
            said = failed.value.replace("_", " ")
            self.loop.tell(uuid, f"its power limit could not be put back to {watts:g} W ({said})")

    def _settle_limit(self, uuid: str) -> None:
        """Let a trial be of the curves alone: the limit was since set for good."""
        trial = self._trials.get(uuid)
        if trial is None:
            return
        trial.limit_before_w = None
        if trial.curves_before == self.loop.curves(uuid):
            del self._trials[uuid]

    def _order_limit(self, vitals: CardVitals, watts: float) -> None:
        failed = self.loop.control.set_power_limit(vitals.uuid, watts)
        if failed is not None:
            raise CoolingError(_refused(vitals, failed, "power limit"))
        self.loop.read_again()
        read = (self.loop.card(vitals.uuid) or vitals).power_limit_w
        if isinstance(read, Missing) or abs(read - watts) > LIMIT_TOLERANCE_W:
            said = "nothing" if isinstance(read, Missing) else f"{read:g} W"
            raise CoolingError(
                f"GPU {vitals.index} was told {watts:g} W and says {said}. Another program may be "
                "setting its limit."
            )

    def _keep_curves(self, uuid: str) -> None:
        trial = self._trials.get(uuid)
        curves = self.loop.curves(uuid) if trial is None else trial.curves_before
        self._kept.curves[uuid] = dict(curves)
        self._write()

    def _write(self) -> None:
        if self._store is not None:
            self._store.write(self._kept)


def _refused(vitals: CardVitals, why: Missing, what: str) -> str:
    mend = {
        Missing.NO_PERMISSION: "The helper must run as root.",
        Missing.NOT_SUPPORTED: "Its driver is older than 520, or the card does not offer it.",
        Missing.GPU_LOST: "The card has fallen off the bus.",
        Missing.READ_FAILED: "`dmesg | grep NVRM` may say more.",
    }
    return f"GPU {vitals.index} does not let its {what} be set. {mend[why]}"
