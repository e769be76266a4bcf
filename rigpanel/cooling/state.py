# SPDX-License-Identifier: MIT
"""What the helper keeps over its restart: curves in force and power limits it has changed."""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rigpanel.cooling.curve import CurveError, FanCurve, curve_as_json, curve_from_json
from rigpanel.errors import RigpanelError

FILE = "cooling.json"
VERSION = 2
MOST_BYTES = 1_000_000
ALL_FANS = "all"
MOST_W = 5000.0
"""More than any card takes."""


UNUSABLE = (
    *(OSError, ValueError, TypeError, AttributeError, LookupError),
    *(ArithmeticError, RecursionError, CurveError),
)
"""What reading a file raises that somebody else wrote."""


class StateError(RigpanelError):
    """The state cannot be kept or read; the text names the file and what to do."""


@dataclass(frozen=True, slots=True)
class ChangedLimit:
    """A card's power limit that was changed, with the way back; in watts."""

    before_w: float
    """From before it was first changed."""
    was_w: float
    """In force when `set_w` was ordered."""
    set_w: float
    agreed_w: float | None = None
    """What it goes back to unless `set_w` is confirmed; None once it is."""


@dataclass(slots=True)
class KeptState:
    """Curves by card and fan (None for every fan), and each card's changed power limit."""

    curves: dict[str, dict[int | None, FanCurve]] = field(default_factory=dict)
    limits: dict[str, ChangedLimit] = field(default_factory=dict)


class StateStore:
    """One JSON file in a folder that only root writes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> KeptState:
        """Return what was kept, nothing where nothing was; raises StateError."""
        try:
            with self._path.open("rb") as file:
                text = file.read(MOST_BYTES)
            return _from_json(json.loads(text))
        except FileNotFoundError:
            return KeptState()
        except UNUSABLE as error:
            raise StateError(
                f"{self._path} cannot be used ({error}), so no curve and no changed power limit is "
                "known. Remove the file and set them again."
            ) from error

    def write(self, state: KeptState) -> None:
        """Replace the file by a whole new one; raises StateError and leaves the old one."""
        text = json.dumps(_as_json(state), indent=1) + "\n"
        temporary: Path | None = None
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=FILE)
            temporary = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise StateError(
                f"{self._path} cannot be written ({error.strerror}). Make room on that disk and "
                "set it again."
            ) from error


def _as_json(state: KeptState) -> dict[str, Any]:
    curves = {
        uuid: {
            ALL_FANS if fan is None else str(fan): curve_as_json(curve)
            for fan, curve in by_fan.items()
        }
        for uuid, by_fan in state.curves.items()
    }
    limits = {uuid: asdict(changed) for uuid, changed in state.limits.items()}
    return {"version": VERSION, "curves": curves, "limits": limits}


def _from_json(value: Any) -> KeptState:
    if value["version"] != VERSION:
        raise ValueError(f"version {value['version']} is not known here")
    curves = {
        str(uuid): {
            None if fan == ALL_FANS else int(fan): curve_from_json(curve)
            for fan, curve in by_fan.items()
        }
        for uuid, by_fan in value["curves"].items()
    }
    limits = {str(uuid): _limit(changed) for uuid, changed in value["limits"].items()}
    return KeptState(curves, limits)


def _limit(value: Any) -> ChangedLimit:
    agreed = value["agreed_w"]
    names = ("before_w", "was_w", "set_w", *(() if agreed is None else ("agreed_w",)))
    watts = [float(value[name]) for name in names]
    if not all(0 < each <= MOST_W for each in watts):
        raise ValueError("a power limit in it cannot be")
    return ChangedLimit(*watts)
