# SPDX-License-Identifier: MIT
"""What the helper tells of every card, and the shape `rigpanel fans --json` prints."""

from collections.abc import Iterable, Mapping
from typing import Any

from rigpanel.cooling.curve import curve_as_json
from rigpanel.cooling.fan_hold import Holder
from rigpanel.cooling.loop import CoolingLoop
from rigpanel.cooling.power_limits import is_ours
from rigpanel.cooling.state import ALL_FANS, KeptState
from rigpanel.rig.as_json import with_reasons
from rigpanel.rig.readings import UNKNOWN_UUID, FanSample, Missing, Reading
from rigpanel.rig.vitals import CardVitals


def status(
    loop: CoolingLoop, trials_left_s: Mapping[str, float], kept: KeptState
) -> dict[str, Any]:
    """Return the answer to `status`: every card with its fans, curves, trial and power limit."""
    return {
        "simulated": loop.control.simulated,
        "driver_problem": loop.control.problem,
        "driver_missing": None if loop.control.missing is None else loop.control.missing.value,
        "gpus": [
            _held_card(loop, vitals, trials_left_s.get(vitals.uuid), kept) for vitals in loop.vitals
        ],
        "events": [
            {"time_s": event.time_s, "uuid": event.uuid, "sentence": event.sentence}
            for event in loop.events
        ],
    }


def _held_card(
    loop: CoolingLoop, vitals: CardVitals, trial_left_s: float | None, kept: KeptState
) -> dict[str, Any]:
    fans, troubles = [], []
    changed = kept.limits.get(vitals.uuid)
    targets = dict(zip((fan.fan for fan in vitals.fan_samples), vitals.targets_pct, strict=False))
    for fan in vitals.fan_samples:
        hold = loop.hold(vitals.uuid, fan.fan)
        curve = loop.curve_for(vitals.uuid, fan.fan)
        target: Reading[float] = targets[fan.fan]
        holder: Reading[str] = _who(fan)
        if hold is not None:
            holder = hold.holder.value
            target = target if hold.ordered is None else float(hold.ordered)
            if hold.trouble is not None:
                troubles.append(hold.trouble)
        points = None if curve is None else [list(point) for point in curve.points]
        fans.append(_fan(fan, target, points, holder))
    lost = (hold for hold in loop.holds_of(vitals.uuid) if not vitals.fan_samples)
    troubles += [hold.trouble for hold in lost if hold.trouble is not None]
    return {
        **_card(vitals, fans, "; ".join(dict.fromkeys(troubles)) or None),
        "curves": {
            ALL_FANS if fan is None else str(fan): curve_as_json(curve)
            for fan, curve in loop.curves(vitals.uuid).items()
        },
        "persisted": loop.curves(vitals.uuid) == kept.curves.get(vitals.uuid, {}),
        "trial_left_s": trial_left_s,
        "limit_changed": changed is not None and is_ours(vitals, changed),
    }


def bare_cards(cards: Iterable[CardVitals], unasked: Missing | None = None) -> list[dict[str, Any]]:
    """Return cards in the same shape as they look without the helper's word.

    `unasked` says why a helper that runs could not be asked: who holds a fan is unknown then.
    """
    return [
        _card(
            vitals,
            [
                _fan(fan, target, unasked, _who(fan) if unasked is None else unasked)
                for fan, target in zip(vitals.fan_samples, vitals.targets_pct, strict=True)
            ],
            unasked,
        )
        for vitals in cards
    ]


def _who(fan: FanSample) -> Reading[str]:
    """Say who has a fan that no curve of ours holds."""
    if isinstance(fan.policy, Missing):
        return fan.policy
    return Holder.AUTO.value if fan.policy == "auto" else Holder.OTHER.value


def _card(
    vitals: CardVitals, fans: list[dict[str, Any]], failsafe: Reading[str | None]
) -> dict[str, Any]:
    unknown = vitals.uuid.startswith(UNKNOWN_UUID)
    return with_reasons(
        {
            "uuid": Missing.GPU_LOST if unknown else vitals.uuid,
            "index": vitals.index,
            "name": vitals.name,
            "pci_bus_id": vitals.pci_bus_id,
            "temperature_c": vitals.temperature_c,
            "slowdown_c": vitals.slowdown_c,
            "power_draw_w": vitals.power_draw_w,
            "power_limit_w": vitals.power_limit_w,
            "power_limit_min_w": vitals.power_limit_min_w,
            "power_limit_max_w": vitals.power_limit_max_w,
            "power_limit_default_w": vitals.power_limit_default_w,
            "fans": vitals.fans if isinstance(vitals.fans, Missing) else fans,
            "failsafe": failsafe,
        }
    )


def _fan(
    fan: FanSample,
    target: Reading[float],
    points: Reading[list[list[float]] | None],
    holder: Reading[str],
) -> dict[str, Any]:
    return with_reasons(
        {
            "fan": fan.fan,
            "duty_pct": fan.duty_pct,
            "target_pct": target,
            "rpm": fan.rpm,
            "policy": fan.policy,
            "min_duty_pct": fan.min_duty_pct,
            "max_duty_pct": fan.max_duty_pct,
            "curve": points,
            "held_by": holder,
        }
    )
