# SPDX-License-Identifier: MIT
"""What the helper is asked to do to a card, each change on trial."""

from rigpanel.cooling.curve import FanCurve, curve_as_json
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.drawings import Scope
from rigpanel.ui.panes.fans.helper_link import HelperLink

CONFIRM_S = 10.0


class Orders:
    """Asks, and remembers which trials were ended here: only the others ran out."""

    def __init__(self, link: HelperLink) -> None:
        self._link = link
        self._ended: set[str] = set()

    def apply(self, scope: Scope, curve: FanCurve, *, persist: bool) -> None:
        """Put a curve in force."""
        uuid, fan = scope
        self._ended.discard(uuid)
        self._link.ask(
            "set_curve",
            gpu=uuid,
            fan=fan,
            curve=curve_as_json(curve),
            persist=persist,
            confirm_within_s=CONFIRM_S,
        )

    def automatic(self, uuid: str) -> None:
        """Hand a card's fans back to it."""
        self._ended.add(uuid)
        self._link.ask("auto", gpu=uuid)

    def set_limit(self, uuid: str, watts: float) -> None:
        """Set a card's power limit."""
        self._ended.discard(uuid)
        self._link.ask("set_power_limit", gpu=uuid, limit_w=watts, confirm_within_s=CONFIRM_S)

    def reset_limit(self, uuid: str) -> None:
        """Put a card's power limit back to what it was."""
        self._ended.add(uuid)
        self._link.ask("reset_power_limits", gpu=uuid)

    def keep(self, told: CardTold | None) -> None:
        """Confirm what is on trial, if anything is."""
        if told is not None and told.trial_left_s is not None:
            self._link.ask("confirm", gpu=told.uuid)

    def take_back(self, uuid: str) -> None:
        """End a trial."""
        self._ended.add(uuid)
        self._link.ask("revert", gpu=uuid)

    def ran_out(self, lapsed: set[str]) -> bool:
        """Whether a trial among those that lapsed was not ended here."""
        missed = lapsed - self._ended
        self._ended -= lapsed
        return bool(missed)
