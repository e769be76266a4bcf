# SPDX-License-Identifier: MIT
"""`rigpanel-fand --restore-limits`: puts power limits back, whether a helper runs or not."""

import sys

from rigpanel.cooling.client import HelperClient, HelperError, NotRunningError
from rigpanel.cooling.orders import CoolingError
from rigpanel.cooling.power_limits import put_back
from rigpanel.cooling.state import StateError, StateStore
from rigpanel.rig.vitals import CardVitals, CoolingControl


def restore_limits(control: CoolingControl, store: StateStore, socket: str | None) -> int:
    """Put back every limit the helper has changed and nobody else since; 0 when that is done.

    A helper that answers does it itself, for it would set them again after a reload of the driver.
    """
    try:
        with HelperClient(socket) as client:
            client.ask("ping")  # so that one that hangs is not waited for long
            for sentence in client.ask("reset_power_limits").get("left", ()):
                _say(sentence)
            return 0
    except NotRunningError:
        pass
    except HelperError as error:
        _say(f"the helper did not do it ({error}), so it is done without it.")
    try:
        return _by_its_notes(control, store)
    except StateError as error:
        _say(f"{error} `nvidia-smi -q -d POWER` shows each card's limit and its default.")
        return 1
    finally:
        control.close()


def _by_its_notes(control: CoolingControl, store: StateStore) -> int:
    kept = store.read()
    if not kept.limits:
        print("No power limit was changed.")
        return 0
    cards = {card.uuid: card for card in control.read()}
    problems = 0
    for uuid, changed in list(kept.limits.items()):
        try:
            card = _there(cards.get(uuid), uuid, control.problem)
            left = put_back(control, card, changed)
        except CoolingError as error:
            _say(str(error))
            problems += 1
            continue
        del kept.limits[uuid]
        if left is None:
            print(f"GPU {card.index}: its power limit is {changed.before_w:g} W as before.")
        else:
            _say(left)
    store.write(kept)
    return 1 if problems else 0


def _there(card: CardVitals | None, uuid: str, problem: str | None) -> CardVitals:
    """Return the card; raises CoolingError where it is not there."""
    if card is None:
        why = problem or "It has fallen off the bus or was taken out."
        raise CoolingError(
            f"Card {uuid} is not there, so its power limit stays as it is. {why} A reboot puts it "
            "to the card's own."
        )
    return card


def _say(sentence: str) -> None:
    sys.stderr.write(f"rigpanel-fand --restore-limits: {sentence}\n")
