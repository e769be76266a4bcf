# SPDX-License-Identifier: MIT
"""Power limits: set inside a card's own range, read back, and put back to what they were."""

from collections.abc import Callable, Collection
from dataclasses import replace

from rigpanel.cooling.loop import CoolingLoop
from rigpanel.cooling.orders import CoolingError, card_to_set, refused
from rigpanel.cooling.state import ChangedLimit, StateError
from rigpanel.rig.readings import Missing, Reading
from rigpanel.rig.vitals import CardVitals, CoolingControl

TOLERANCE_W = 1.0


def is_at(vitals: CardVitals, watts: Reading[float]) -> bool:
    """Whether a card says that this is its limit."""
    read = vitals.power_limit_w
    if isinstance(read, Missing) or isinstance(watts, Missing):
        return False
    return abs(read - watts) <= TOLERANCE_W


def is_ours(vitals: CardVitals, changed: ChangedLimit) -> bool:
    """Whether a limit is in force that the helper set: the last, or the one before it.

    A helper killed between writing an order down and giving it leaves the one before in force.
    """
    ours = is_at(vitals, changed.set_w) or is_at(vitals, changed.was_w)
    return ours and not is_at(vitals, changed.before_w)


def order_limit(control: CoolingControl, vitals: CardVitals, watts: float) -> None:
    """Set a limit and read it back; raises CoolingError."""
    failed = control.set_power_limit(vitals.uuid, watts)
    if failed is not None:
        raise CoolingError(refused(vitals, failed, "power limit"))
    now = next((card for card in control.read() if card.uuid == vitals.uuid), vitals)
    if not is_at(now, watts):
        read = now.power_limit_w
        said = "nothing" if isinstance(read, Missing) else f"{read:g} W"
        raise CoolingError(
            f"GPU {vitals.index} was told {watts:g} W and says {said}. Another program may be "
            "setting its limit."
        )


def put_back(control: CoolingControl, vitals: CardVitals, changed: ChangedLimit) -> str | None:
    """Put a limit back, unless another program has set it since; a sentence where it is left.

    Raises CoolingError where the card does not tell its limit or does not take the old one.
    """
    now_w = vitals.power_limit_w
    if isinstance(now_w, Missing):
        raise CoolingError(
            f"GPU {vitals.index} does not tell its power limit ({now_w.value.replace('_', ' ')}), "
            "so that stays as it is. A reboot puts it to the card's own."
        )
    if is_at(vitals, changed.before_w):
        return None
    if not is_ours(vitals, changed):
        return (
            f"GPU {vitals.index} is at {now_w:g} W, not at the {changed.set_w:g} W set here, so it "
            f"is left at that. `sudo nvidia-smi -i {vitals.index} -pl {changed.before_w:g}` puts "
            "it to what it was before."
        )
    order_limit(control, vitals, changed.before_w)
    return None


class PowerLimits:
    """The limits that were changed here. Each is written down before the card is told."""

    def __init__(self, loop: CoolingLoop, keep: Callable[[], None]) -> None:
        """Have `keep` write `changed` down; it may raise StateError."""
        self._loop = loop
        self._keep = keep
        self.changed: dict[str, ChangedLimit] = {}
        self._in_force: set[str] = set()
        """Cards at a limit from here since this process saw them: a driver may forget it."""

    def on_trial(self, uuid: str) -> bool:
        """Whether a card's limit goes back unless it is confirmed."""
        changed = self.changed.get(uuid)
        return changed is not None and changed.agreed_w is not None

    def set(self, uuid: str, watts: float, *, on_trial: bool) -> None:
        """Set a limit inside the card's own range; raises CoolingError, and it stays as it was."""
        self._loop.read_again()  # another program may have set it a moment ago
        vitals = card_to_set(self._loop, uuid)
        low_w, high_w, now_w = (
            vitals.power_limit_min_w,
            vitals.power_limit_max_w,
            vitals.power_limit_w,
        )
        if isinstance(low_w, Missing) or isinstance(high_w, Missing) or isinstance(now_w, Missing):
            raise CoolingError(f"GPU {vitals.index} does not let its power limit be set.")
        if not low_w <= watts <= high_w:
            raise CoolingError(
                f"GPU {vitals.index} takes a power limit from {low_w:g} to {high_w:g} W, not "
                f"{watts:g} W."
            )
        known = self.changed.get(uuid)
        if known is not None and not is_ours(vitals, known):
            known = None  # gone at a reboot, or another program's since: that is what was before
        before_w = now_w if known is None else known.before_w
        agreed_w = now_w if known is None or known.agreed_w is None else known.agreed_w
        self._write_down(
            vitals, ChangedLimit(before_w, now_w, watts, agreed_w if on_trial else None)
        )
        try:
            order_limit(self._loop.control, vitals, watts)
        except CoolingError:
            self._loop.control.set_power_limit(uuid, now_w)
            self._forget(uuid) if known is None else self._remember(uuid, known)
            raise
        self._in_force.add(uuid)
        self._loop.read_again()

    def confirm(self, uuid: str) -> bool:
        """Keep a limit that was on trial; whether one was, which is then still to be written."""
        changed = self.changed.get(uuid)
        if changed is None or changed.agreed_w is None:
            return False
        self.changed[uuid] = replace(changed, agreed_w=None)
        return True

    def undo_trial(self, uuid: str) -> None:
        """Put back the limit from before a trial, if that had changed it; tells what fails."""
        changed = self.changed.get(uuid)
        if changed is None or changed.agreed_w is None:
            return
        failed = self._loop.control.set_power_limit(uuid, changed.agreed_w)
        if failed is not None:  # and again when the driver is back
            said = failed.value.replace("_", " ")
            watts = changed.agreed_w
            self._loop.tell(uuid, f"its power limit could not be put back to {watts:g} W ({said})")
            return
        self._remember(uuid, ChangedLimit(changed.before_w, changed.set_w, changed.agreed_w))

    def reset(self, uuid: str) -> None:
        """Put back the limit from before, whoever set the present one; raises CoolingError."""
        vitals = card_to_set(self._loop, uuid)
        changed = self.changed.get(uuid)
        before_w = vitals.power_limit_default_w if changed is None else changed.before_w
        if isinstance(before_w, Missing):
            raise CoolingError(f"GPU {vitals.index} does not tell its usual power limit.")
        order_limit(self._loop.control, vitals, before_w)
        self._loop.read_again()
        self._forget(uuid)

    def reset_all(self) -> list[str]:
        """Put back every limit that was changed here and by nobody since; say which are left.

        A card that fails stops no other; raises CoolingError for the first of them.
        """
        self._loop.read_again()
        left, failed = [], []
        for uuid, changed in list(self.changed.items()):
            try:
                said = put_back(self._loop.control, card_to_set(self._loop, uuid), changed)
            except CoolingError as error:
                failed.append(error)
                continue
            left += [] if said is None else [said]
            self._forget(uuid)
        self._loop.read_again()
        if failed:
            raise failed[0]
        return left

    def look_again(self, trials: Collection[str]) -> None:
        """See to every limit after the driver was started: here first, or anew.

        What the driver forgot meanwhile is set again. What an earlier helper set and nobody
        confirmed goes back; what has changed since is no longer ours. `trials` are the cards whose
        changes wait for a word still.
        """
        for uuid, changed in list(self.changed.items()):
            vitals = self._loop.card(uuid)
            if vitals is None or isinstance(vitals.power_limit_w, Missing):
                continue  # the driver is started anew for it
            if changed.agreed_w is not None and uuid not in trials:
                self._take_back_unconfirmed(vitals)
            elif uuid not in self._in_force:
                self._meet(vitals, changed)
            elif not is_ours(vitals, changed) and is_at(vitals, vitals.power_limit_default_w):
                failed = self._loop.control.set_power_limit(uuid, changed.set_w)
                if failed is not None:
                    self._loop.tell(uuid, refused(vitals, failed, "power limit"))

    def _take_back_unconfirmed(self, vitals: CardVitals) -> None:
        changed = self.changed[vitals.uuid]
        if is_ours(vitals, changed) or is_at(vitals, changed.set_w):
            self._loop.tell(vitals.uuid, "its power limit was never confirmed, so it goes back")
            self.undo_trial(vitals.uuid)
        else:
            self._forget(vitals.uuid)

    def _meet(self, vitals: CardVitals, changed: ChangedLimit) -> None:
        if is_ours(vitals, changed):
            self._in_force.add(vitals.uuid)
            return
        if not is_at(vitals, changed.before_w):
            self._loop.tell(
                vitals.uuid,
                f"its power limit is {vitals.power_limit_w:g} W, no longer the {changed.set_w:g} W "
                "set here",
            )
        self._forget(vitals.uuid)

    def _write_down(self, vitals: CardVitals, changed: ChangedLimit) -> None:
        known = self.changed.get(vitals.uuid)
        self.changed[vitals.uuid] = changed
        try:
            self._keep()
        except StateError as error:
            del self.changed[vitals.uuid]
            if known is not None:
                self.changed[vitals.uuid] = known
            raise CoolingError(
                f"GPU {vitals.index} keeps its power limit, for what it was could not be written "
                f"down: {error}"
            ) from error

    def _remember(self, uuid: str, changed: ChangedLimit) -> None:
        if abs(changed.set_w - changed.before_w) <= TOLERANCE_W:
            self._forget(uuid)
            return
        self.changed[uuid] = changed
        self._keep_or_tell(uuid)

    def _forget(self, uuid: str) -> None:
        """Take a limit off the list: it is as it was, or another's."""
        self._in_force.discard(uuid)
        if self.changed.pop(uuid, None) is not None:
            self._keep_or_tell(uuid)

    def _keep_or_tell(self, uuid: str) -> None:
        """Write down what has already happened; that this fails must not undo it."""
        try:
            self._keep()
        except StateError as error:
            self._loop.tell(uuid, str(error))
