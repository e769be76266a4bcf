# SPDX-License-Identifier: MIT
"""What goes over the helper's socket: one JSON object a line, fixed verbs, a version."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigpanel.errors import RigpanelError

VERSION = 1
LONGEST_LINE = 8 * 1024
VARIABLE = "RIGPANEL_FAND_SOCKET"
USUAL_SOCKET = Path("/run/rigpanel/fand.sock")

FREE = frozenset({"status", "ping", "auto"})
"""What every local user may ask."""
RESTRICTED = frozenset({"set_curve", "confirm", "revert", "set_power_limit", "reset_power_limits"})
"""What takes the right to set."""
ROOT_ONLY = frozenset({"suspend", "resume"})
VERBS = FREE | RESTRICTED | ROOT_ONLY


class ProtocolError(RigpanelError):
    """A line that is no request; the text says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One thing asked."""

    id: int | str | None
    verb: str
    fields: Mapping[str, Any]

    def uuid(self) -> str:
        """Return the card meant; raises ProtocolError."""
        uuid = self.fields.get("gpu")
        if not isinstance(uuid, str) or not 0 < len(uuid) <= 128:
            raise ProtocolError("`gpu` must be a card's UUID.")
        return uuid

    def optional_uuid(self) -> str | None:
        """Return the card meant, None for all; raises ProtocolError."""
        return None if self.fields.get("gpu") is None else self.uuid()

    def number(self, name: str, low: float, high: float) -> float:
        """Return a number in a range; raises ProtocolError."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ProtocolError(f"`{name}` must be a number.")
        if not low <= value <= high:
            raise ProtocolError(f"`{name}` must be from {low:g} to {high:g}.")
        return float(value)

    def optional_number(self, name: str, low: float, high: float) -> float | None:
        """Return a number in a range, or None where it is not given; raises ProtocolError."""
        return None if self.fields.get(name) is None else self.number(name, low, high)

    def optional_fan(self) -> int | None:
        """Return the fan meant, None for all of a card; raises ProtocolError."""
        fan = self.fields.get("fan")
        if fan is not None and (isinstance(fan, bool) or not isinstance(fan, int)):
            raise ProtocolError("`fan` must be a whole number.")
        return fan

    def flag(self, name: str) -> bool:
        """Return a yes or no, no where it is not given; raises ProtocolError."""
        value = self.fields.get(name, False)
        if not isinstance(value, bool):
            raise ProtocolError(f"`{name}` must be true or false.")
        return value


def socket_path(given: str | None = None) -> Path:
    """Return the helper's socket: the one given, else the variable's, else the usual one."""
    return Path(given or os.environ.get(VARIABLE) or USUAL_SOCKET)


def parse_request(line: bytes) -> Request:
    """Read one line; raises ProtocolError."""
    try:
        value = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("This line is no JSON.") from error
    if not isinstance(value, dict):
        raise ProtocolError("A request must be a JSON object.")
    if value.get("v") != VERSION or isinstance(value.get("v"), bool):
        raise ProtocolError(
            f"This helper speaks version {VERSION}. Install the helper that belongs to this "
            "rigpanel: `rigpanel setup-helper`."
        )
    verb = value.get("verb")
    if not isinstance(verb, str) or verb not in VERBS:
        raise ProtocolError("This verb is not known.")
    ident = value.get("id")
    if not isinstance(ident, (int, str)) or isinstance(ident, bool) or len(str(ident)) > 64:
        ident = None
    return Request(ident, verb, value)


def as_line(value: Mapping[str, Any]) -> bytes:
    """Return an object as one line, the version with it."""
    text = json.dumps({"v": VERSION, **value}, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def parse_answer(line: bytes) -> dict[str, Any]:
    """Read the helper's answer; raises ProtocolError."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("The helper's answer is no JSON.") from error
    if not isinstance(value, dict) or value.get("v") != VERSION:
        raise ProtocolError(
            "The helper speaks another version. Install the one that belongs to this rigpanel: "
            "`rigpanel setup-helper`."
        )
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
