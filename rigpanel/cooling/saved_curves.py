# SPDX-License-Identifier: MIT
"""Curves a person has saved under a name, and curves in files to be passed on."""

import json
from pathlib import Path
from typing import Any

from rigpanel.cooling.curve import CurveError, FanCurve, curve_as_json, curve_from_json
from rigpanel.cooling.presets import PRESETS
from rigpanel.errors import RigpanelError
from rigpanel.settings import write_atomically

KIND = "rigpanel fan curve"
MOST_BYTES = 1_000_000
LONGEST_NAME = 60


class SavedCurveError(RigpanelError):
    """A file of curves that cannot be used or written; the text names it and what to do."""


def export_curve(path: Path, curve: FanCurve) -> None:
    """Write one curve into a file of its own; raises SavedCurveError."""
    _write(path, {"kind": KIND, **curve_as_json(curve)})


def import_curve(path: Path) -> FanCurve:
    """Read a curve that `export_curve` wrote; raises SavedCurveError."""
    value = _read(path)
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise SavedCurveError(f"{path} holds no fan curve. Choose a file that was exported here.")
    try:
        return curve_from_json(value)
    except CurveError as error:
        raise SavedCurveError(f"{path}: {error}") from error


class SavedCurves:
    """A person's own presets, in one file beside the settings."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, FanCurve]:
        """Return the saved curves by name, those that came with rigpanel first."""
        found = dict(PRESETS)
        if not self._path.exists():
            return found
        value = _read(self._path)
        if not isinstance(value, dict):
            raise SavedCurveError(f"{self._path} holds no saved curves. Mend or remove it.")
        for name, curve in value.items():
            try:
                found.setdefault(name, curve_from_json(curve))
            except CurveError as error:
                raise SavedCurveError(f"{self._path}, {name!r}: {error}") from error
        return found

    def save(self, name: str, curve: FanCurve) -> None:
        """Save a curve under a name; raises SavedCurveError."""
        name = name.strip()
        if not 0 < len(name) <= LONGEST_NAME:
            raise SavedCurveError(f"A name must have 1 to {LONGEST_NAME} characters.")
        if name in PRESETS:
            raise SavedCurveError(f"{name} came with rigpanel and stays as it is: choose another.")
        own = {known: kept for known, kept in self.read().items() if known not in PRESETS}
        own[name] = curve
        _write(self._path, {known: curve_as_json(kept) for known, kept in own.items()})


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return json.loads(file.read(MOST_BYTES))
    except OSError as error:
        raise SavedCurveError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise SavedCurveError(
            f"{path} is no JSON. Choose a file that was exported here."
        ) from error


def _write(path: Path, value: object) -> None:
    try:
        write_atomically(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise SavedCurveError(f"{path} cannot be written ({error.strerror}).") from error
