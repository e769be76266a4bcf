# SPDX-License-Identifier: MIT
"""One fan held by a curve: orders are given, read back, and given up where they must be."""

import enum
from collections import deque

from rigpanel.cooling.controller import CoolingSample, Decision, DutyRange, FanController, Why
from rigpanel.cooling.curve import FanCurve
from rigpanel.rig.readings import FanSample, Missing, Reading
from rigpanel.rig.vitals import CardVitals, CoolingControl

DISOBEYED_S = 2.0
"""An order that shows no effect for so long is not obeyed; ticks may come faster than it shows."""
FOREIGN_S = 1.0
IGNORED_TICKS = 3
"""So many hand-backs without effect are told, and the fan blows at full."""
TOLERANCE_PCT = 1.0
LEAST_PCT = 1
DROPS_ALLOWED, DROPS_WITHIN_S = 10, 60.0
"""A driver drops an order now and then; who hands a fan back so often is another program."""
RETRY_S = 30.0
"""A fan that was given up is tried again after this, if no other program has it."""


class Holder(enum.Enum):
    """Who has a fan."""

    CURVE = "curve"
    AUTO = "auto"
    OTHER = "other"


class _Look(enum.Enum):
    """What a fan looks like beside what it was told."""

    AS_TOLD = enum.auto()
    FORGOT = enum.auto()
    FOREIGN = enum.auto()


def duty_range(fan: FanSample) -> DutyRange:
    """Return the duties a fan may be told; see `allowed_duties`."""
    return allowed_duties(fan.min_duty_pct, fan.max_duty_pct)


def allowed_duties(min_pct: Reading[float], max_pct: Reading[float]) -> DutyRange:
    """Return the duties to tell a fan of this range; the usual one where the driver tells none.

    Never 0: only a card's own control may stop a fan.
    """
    low = 30 if isinstance(min_pct, Missing) else round(min_pct)
    high = 100 if isinstance(max_pct, Missing) else round(max_pct)
    return DutyRange(max(low, LEAST_PCT), max(low, high, LEAST_PCT))


def release(control: CoolingControl, uuid: str, fan: int) -> Missing | None:
    """Hand a fan to the card's own control, or blow at full where that fails.

    Returns None once it is automatic, else why it is not; call again until it is.
    """
    failed = control.set_automatic(uuid, fan)
    if failed is None:
        return None
    full = control.set_duty(uuid, fan, 100)
    if failed is full is Missing.NOT_SUPPORTED:
        return None  # nobody can have set it
    return failed


class FanHold:
    """Keeps one fan on its curve, and never in manual while the curve cannot be followed."""

    def __init__(self, curve: FanCurve, duties: DutyRange, uuid: str, fan: int) -> None:
        self.curve = curve
        self.uuid = uuid
        self.fan = fan
        self.trouble: str | None = None
        """Why the fan is not on its curve, a sentence for people."""
        self.ordered: int | None = None
        """The duty in force by our order; None while the card has the fan."""
        self.refused: Missing | None = None
        """Why the driver did not take the last order."""
        self._given_up: Holder | None = None
        self._given_up_why = ""
        self._retry_s: float | None = None
        self._controller = FanController(curve, duties)
        self._seen = False
        self._target_before: Reading[float] = Missing.READ_FAILED
        self._target: Reading[float] = Missing.READ_FAILED
        self._odd_since_s: float | None = None
        """Since when the fan is not as it was told."""
        self._drops: deque[float] = deque(maxlen=DROPS_ALLOWED + 1)
        self._released = False
        self._last_order: int | None = None
        """The duty told last, which may stand though the fan was handed back."""
        self._ignored_ticks = 0

    @property
    def holder(self) -> Holder:
        """Who has the fan now."""
        if self._given_up is not None:
            return self._given_up
        return Holder.AUTO if self.trouble else Holder.CURVE

    def step(
        self,
        control: CoolingControl,
        vitals: CardVitals,
        sample: FanSample | None,
        target_pct: Reading[float],
        now: float,
    ) -> None:
        """Follow the curve for one tick; `sample` is None where the fan could not be read."""
        decision = self._controller.step(
            CoolingSample(vitals.temperature_c, vitals.power_draw_w, vitals.slowdown_c), now
        )
        self._target = target_pct
        if sample is not None and not isinstance(sample.min_duty_pct, Missing):
            self._controller.duties = duty_range(sample)  # what is told once is good for later
        if self._given_up is not None:
            self._take_back(decision, sample, now)
        look = _Look.AS_TOLD
        if self._given_up is None and self.ordered is not None and sample is not None:
            look = self._look(sample, now)
            self._judge(look, decision, now)
        if self._given_up is Holder.AUTO:
            self._leave_to_card(control, sample, self._given_up_why)
        elif self._given_up is None and (look is not _Look.FOREIGN or _outranks(decision)):
            self._act(control, sample, decision, again=look is not _Look.AS_TOLD)

    def forget_order(self) -> None:
        """Order anew at the next tick, whatever was ordered: the driver may have forgotten."""
        self.ordered = None
        self._seen = False
        self._odd_since_s = None

    def _act(
        self, control: CoolingControl, sample: FanSample | None, decision: Decision, *, again: bool
    ) -> None:
        if decision.duty_pct is None:
            self._leave_to_card(control, sample, decision.trouble)
            return
        self.trouble = None
        if decision.duty_pct == self.ordered and not again:
            return
        failed = self.refused = control.set_duty(self.uuid, self.fan, decision.duty_pct)
        if failed is None:
            if decision.duty_pct != self.ordered:
                self._seen, self._target_before = False, self._target
            self.ordered = self._last_order = decision.duty_pct
            self._released, self._ignored_ticks = False, 0
            return
        if failed not in {Missing.NO_PERMISSION, Missing.NOT_SUPPORTED}:
            self._released = False  # it may have been carried out in part
        why = f"the driver does not take a duty ({failed.value.replace('_', ' ')})"
        self._leave_to_card(control, sample, why)

    def _leave_to_card(
        self, control: CoolingControl, sample: FanSample | None, why: str | None
    ) -> None:
        """Hand back, again at each tick until the driver has taken it and shows it."""
        self.ordered, self.trouble = None, why
        if self._released:
            if not self._order_stands(sample):
                return
            self._ignored_ticks += 1
        failed = release(control, self.uuid, self.fan)
        self._released = failed is None
        said = None if failed is None else failed.value.replace("_", " ")
        if failed is None and self._ignored_ticks >= IGNORED_TICKS:
            said = "it stays in manual"
            if self._ignored_ticks % IGNORED_TICKS == 0:
                control.set_duty(self.uuid, self.fan, 100)
        if said is not None:
            why = why or "its own control shall have it"
            self.trouble = f"{why}, and it cannot be handed back ({said})"

    def _order_stands(self, sample: FanSample | None) -> bool:
        """Whether a fan handed back is still where our last order put it."""
        if sample is None or sample.policy != "manual" or self._last_order is None:
            return False
        target = self._target
        ours = (self._last_order, *([100] if self._ignored_ticks else []))
        return isinstance(target, Missing) or any(
            abs(target - order) <= TOLERANCE_PCT for order in ours
        )

    def _take_back(self, decision: Decision, sample: FanSample | None, now: float) -> None:
        """Take a fan given up: from another program when critical or once that has let go of it.

        One that was deaf is tried again after a rest.
        """
        others = self._given_up is Holder.OTHER
        if others and (sample is None or sample.policy != "auto"):
            self._retry_s = None
        elif others and self._retry_s is None:
            self._retry_s = now + RETRY_S
        hot = others and decision.why is Why.CRITICAL
        if hot or (self._retry_s is not None and now >= self._retry_s):
            self._given_up = self._retry_s = None
            self.forget_order()
            self._drops.clear()

    def _look(self, sample: FanSample, now: float) -> _Look:
        """Compare the fan with what it was told."""
        target = self._target
        since_s = now if self._odd_since_s is None else self._odd_since_s
        if sample.policy == "auto":
            self._odd_since_s = since_s
            if self._seen:
                self._drops.append(now)
            return _Look.FORGOT
        # Where no target can be read, a duty on its way is not told from another's order.
        if not isinstance(target, Missing) and abs(target - (self.ordered or 0)) > TOLERANCE_PCT:
            self._odd_since_s = since_s
            unchanged = not self._seen and target == self._target_before
            return _Look.FORGOT if unchanged else _Look.FOREIGN
        self._seen, self._odd_since_s = True, None
        return _Look.AS_TOLD

    def _judge(self, look: _Look, decision: Decision, now: float) -> None:
        """Give the fan up where it does not obey, or where another program has it."""
        recent = sum(1 for at in self._drops if now - at <= DROPS_WITHIN_S)
        odd_s = 0.0 if self._odd_since_s is None else now - self._odd_since_s
        if look is _Look.FORGOT and not self._seen and odd_s >= DISOBEYED_S:
            self._give_up(Holder.AUTO, "the fan takes orders and does not follow them")
            self._retry_s = now + RETRY_S
        elif look is _Look.AS_TOLD or _outranks(decision):
            return
        elif recent > DROPS_ALLOWED:
            self._give_up(Holder.AUTO, "another program hands the fan back to the card")
        elif look is _Look.FOREIGN and odd_s >= FOREIGN_S:
            self._give_up(Holder.OTHER, f"another program set the fan to {self._target:g} %")

    def _give_up(self, to: Holder, why: str) -> None:
        self._given_up = to
        self._given_up_why = self.trouble = why
        self.ordered = None
        self._released = to is Holder.OTHER


def _outranks(decision: Decision) -> bool:
    """Whether a decision is carried out whoever else wants the fan."""
    return decision.why in {Why.CRITICAL, Why.BLIND}
