# SPDX-License-Identifier: MIT
"""`rigpanel fans`: every fan and who holds it; sets curves and hands fans back."""

import argparse
import json
import math
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rigpanel.cli.helper_cards import NamedCard, add_socket, card_meant, connect
from rigpanel.cooling.client import (
    HelperClient,
    NoAnswerError,
    NoPermissionError,
    NotRunningError,
)
from rigpanel.cooling.curve import (
    HYSTERESIS_RANGE_C,
    CurveError,
    FanCurve,
    curve_as_json,
    parse_points,
    points_as_text,
)
from rigpanel.cooling.fan_hold import allowed_duties
from rigpanel.cooling.status import bare_cards
from rigpanel.errors import RigpanelError, UsageError
from rigpanel.rig.readings import Missing

SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where sudo looks for a command: not in the virtual environment that this may run in."""
LITTLE_PCT = 80.0
"""A curve that ends below it leaves a hot card much of the air it could have."""
CARD_KEYS = ("uuid", "index", "temperature_c", "fans", "failsafe")
HEADINGS = ("GPU", "Fan", "Temp", "Duty", "Target", "RPM", "Range", "Held by", "Curve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options and its two verbs."""
    _add_shared(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="set|auto")
    put = verbs.add_parser("set", help="put a curve in force through the helper")
    put.add_argument("gpu", metavar="GPU", help="index, UUID or PCI bus id")
    put.add_argument("--curve", required=True, metavar="C:PCT,C:PCT…", help="40:30,60:50,84:100")
    put.add_argument("--fan", type=_fan, metavar="N", help="one fan of the card; else all")
    put.add_argument(
        "--hysteresis", type=_hysteresis, metavar="C", help="cooling before the duty goes down"
    )
    put.add_argument("--persist", action="store_true", help="keep it over the helper's restart")
    auto = verbs.add_parser("auto", help="hand fans back to the card's own control")
    auto.add_argument("gpu", metavar="GPU", nargs="?", help="index, UUID or PCI bus id; else all")
    for verb in (put, auto):
        _add_shared(verb)


def run(options: argparse.Namespace) -> int:
    """Show, set or hand back; reading works without a helper too."""
    if options.verb == "set":
        return _set(options)
    if options.verb == "auto":
        return _auto(options)
    shown, problem = _read(options)
    if getattr(options, "json", False):
        print(json.dumps(shown, allow_nan=False, indent=2))
    else:
        print(as_table(shown))
    if problem is not None:
        print(f"rigpanel fans: {problem}", file=sys.stderr)
        return 1
    return 0


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    add_socket(parser)


def _set(options: argparse.Namespace) -> int:
    try:
        points = parse_points(options.curve)
        curve = FanCurve(points)
        if options.hysteresis is not None:
            curve = FanCurve(points, hysteresis_c=options.hysteresis)
    except CurveError as error:
        raise UsageError(str(error)) from error
    with connect(options) as client:
        card = card_meant(client, options.gpu)
        client.ask(
            "set_curve",
            gpu=card.uuid,
            fan=options.fan,
            curve=curve_as_json(curve),
            persist=options.persist,
        )
        which = "every fan" if options.fan is None else f"fan {options.fan}"
        done = f"GPU {card.index}: {which} follows {points_as_text(curve.points)}."
        _say_done(options, client, done)
        trouble = card_meant(client, card.uuid).told["failsafe"]
    for remark in _remarks(card, curve, options.fan):
        print(f"rigpanel fans: GPU {card.index}: {remark}", file=sys.stderr)
    if trouble is not None:
        print(f"rigpanel fans: GPU {card.index} is not on its curve: {trouble}", file=sys.stderr)
    return 0


def _remarks(card: NamedCard, curve: FanCurve, fan: int | None) -> list[str]:
    """Say where the card does not do what the curve says, or what it says may be too little."""
    remarks = []
    fans = [told for told in card.told["fans"] or () if fan in (None, told["fan"])]
    least_pct = max((_least_pct(told) for told in fans), default=0)
    if curve.points[0][1] < least_pct:
        remarks.append(f"its fans turn at no less than {least_pct} %; the curve asks for less.")
    (from_c, last_pct), slowdown_c = curve.points[-1], card.told["slowdown_c"]
    critical_c = min(curve.critical_c, slowdown_c or curve.critical_c)
    if last_pct < LITTLE_PCT and from_c < critical_c:
        remarks.append(
            f"from {from_c:g} °C on the fans stay at {max(last_pct, least_pct):g} %, up to the "
            f"critical temperature {critical_c:g} °C; end the curve at 100 % to cool sooner."
        )
    return remarks


def _least_pct(told: Mapping[str, Any]) -> int:
    """Return the lowest duty the helper tells a fan."""
    low, high = (
        Missing.READ_FAILED if told[key] is None else told[key]
        for key in ("min_duty_pct", "max_duty_pct")
    )
    return allowed_duties(low, high).low_pct


def _auto(options: argparse.Namespace) -> int:
    try:
        with connect(options) as client:
            card = None if options.gpu is None else card_meant(client, options.gpu)
            client.ask("auto", gpu=None if card is None else card.uuid)
            whose = "every fan is" if card is None else f"GPU {card.index}: its fans are"
            done = f"{whose} under the card's own control."
            _say_done(options, client, done[0].upper() + done[1:])
    except (NotRunningError, NoAnswerError) as error:
        raise RigpanelError(
            f"{error} `sudo {_fand()} --restore-auto` hands every fan back without it."
        ) from error
    return 0


def _fand() -> str:
    """Return the helper's command as sudo finds it: by its path where it is not installed."""
    beside = Path(sys.executable).with_name("rigpanel-fand")
    if shutil.which("rigpanel-fand", path=SUDO_PATH) is None and beside.exists():
        return shlex.quote(str(beside))
    return "rigpanel-fand"


def _say_done(options: argparse.Namespace, client: HelperClient, sentence: str) -> None:
    if getattr(options, "json", False):
        print(json.dumps(_shown("running", client.ask("status")), allow_nan=False, indent=2))
    else:
        print(sentence)


def _read(options: argparse.Namespace) -> tuple[dict[str, Any], str | None]:
    """Return what `--json` prints, and what kept it from being all, if anything."""
    if getattr(options, "demo", False):
        from rigpanel.rig.simulated_control import SimulatedControl

        cards = bare_cards(SimulatedControl().read())
        return _shown("not_running", {"simulated": True, "gpus": cards}), None
    try:
        with connect(options) as client:
            status = client.ask("status")
            return _shown("running", status), status["driver_problem"]
    except NotRunningError:
        return _read_cards("not_running", None)
    except NoPermissionError:
        return _read_cards("no_permission", Missing.NO_PERMISSION)
    except NoAnswerError as error:
        shown, problem = _read_cards("running", Missing.READ_FAILED)
        return shown, problem or str(error)


def _read_cards(helper: str, unasked: Missing | None) -> tuple[dict[str, Any], str | None]:
    """Read the cards without the helper; `unasked` says why one that runs could not be asked."""
    from rigpanel.rig.nvml_vitals import NvmlVitals

    source = NvmlVitals()
    try:
        cards = bare_cards(source.read(), unasked)
    finally:
        source.close()
    why = source.missing
    told = {"gpus": cards, "driver_missing": None if why is None else why.value}
    return _shown(helper, told), source.problem


def _shown(helper: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shape of `fans --json`, without what else the helper tells."""
    simulated = {"simulated": True} if status.get("simulated") else {}
    if status.get("driver_missing") and not status["gpus"]:
        missing = {"gpus": status["driver_missing"]}
        return {**simulated, "helper": helper, "gpus": None, "missing": missing}
    gpus = []
    for card in status["gpus"]:
        missing = {name: why for name, why in card["missing"].items() if name in CARD_KEYS}
        shown = {name: card[name] for name in CARD_KEYS}
        gpus.append(shown | ({"missing": missing} if missing else {}))
    return {**simulated, "helper": helper, "gpus": gpus}


def as_table(shown: Mapping[str, Any]) -> str:
    """Return the fans as an aligned table for people."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    cards = shown["gpus"] or ()
    for card in cards:
        rows += [_row(card, fan) for fan in card["fans"] or ()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    if len(rows) == 1:
        lines = ["No fan to show."]
    if shown.get("simulated"):
        lines.insert(0, "Simulated rig: nothing here is measured.")
    lines += [
        f"GPU {card['index']}: its fans cannot be read ({_why(card, 'fans')})"
        for card in cards
        if card["fans"] is None
    ]
    lines += [
        f"GPU {card['index']}: not on its curve: {card['failsafe']}"
        for card in cards
        if card["failsafe"]
    ]
    lines.append(f"Helper  {shown['helper'].replace('_', ' ')}")
    return "\n".join(line.rstrip() for line in lines)


def _row(card: Mapping[str, Any], fan: Mapping[str, Any]) -> tuple[str, ...]:
    def word(name: str, unit: str = " %") -> str:
        value = fan[name]
        if value is None:
            return _why(fan, name)
        return f"{value:g}{unit}" if isinstance(value, (int, float)) else str(value)

    hot = card["temperature_c"]
    return (
        str(card["index"]),
        str(fan["fan"]),
        _why(card, "temperature_c") if hot is None else f"{hot:g} °C",
        word("duty_pct"),
        word("target_pct"),
        word("rpm", ""),
        word("max_duty_pct")
        if fan["max_duty_pct"] is None
        else f"{word('min_duty_pct', '')} to {word('max_duty_pct')}",
        word("held_by"),
        _why(fan, "curve")
        if fan["curve"] is None
        else points_as_text(tuple(map(tuple, fan["curve"]))),
    )


def _why(readings: Mapping[str, Any], name: str) -> str:
    """Say why something is null; a dash where there is nothing to be said."""
    return str(readings.get("missing", {}).get(name, "-")).replace("_", " ")


def _fan(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: must be the number of a fan, from 0")
    return int(text)


def _hysteresis(text: str) -> float:
    low, high = HYSTERESIS_RANGE_C
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r}: must be degrees from {low:g} to {high:g}")
    return value
