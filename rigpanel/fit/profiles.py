# SPDX-License-Identifier: MIT
"""How a person loads each model: profiles by name, and the settings that worked last."""

import json
import os
import sqlite3
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from rigpanel.codec import from_plain, to_plain
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.storage import Storage, storable


class ProfileError(RigpanelError):
    """A load profile cannot be saved; the text says why."""


class ProfileStore:
    """Keeps load settings in a Storage; a model is known by the real path of its file."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def save(self, model_path: Path, name: str, settings: LoadSettings) -> Future[None]:
        """Save under a name, in place of what had it; the future raises ProfileError."""
        name = storable(name.strip())

        def work(db: sqlite3.Connection) -> None:
            if not name:
                raise ProfileError("The profile has no name, so it was not saved. Give it one.")
            db.execute(
                "INSERT OR REPLACE INTO load_profile (model, name, settings) VALUES (?, ?, ?)",
                (_key(model_path), name, _text(settings)),
            )

        return self._storage.submit(work)

    def list(self, model_path: Path) -> Future[dict[str, LoadSettings]]:
        """Return a model's profiles by name, in the names' order, for the path as given."""

        def work(db: sqlite3.Connection) -> dict[str, LoadSettings]:
            saved = db.execute(
                "SELECT name, settings FROM load_profile WHERE model = ? "
                "ORDER BY name COLLATE NOCASE",
                (_key(model_path),),
            )
            found = {name: _settings(text, model_path) for name, text in saved}
            return {name: settings for name, settings in found.items() if settings is not None}

        return self._storage.submit(work)

    def delete(self, model_path: Path, name: str) -> Future[None]:
        """Forget one; one that is not there is no failure."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM load_profile WHERE model = ? AND name = ?",
                (_key(model_path), storable(name.strip())),
            )

        return self._storage.submit(work)

    def last(self, model_path: Path) -> Future[LoadSettings | None]:
        """Return the settings of the last load that worked; None before the first."""

        def work(db: sqlite3.Connection) -> LoadSettings | None:
            kept = db.execute(
                "SELECT settings FROM last_load WHERE model = ?", (_key(model_path),)
            ).fetchone()
            return None if kept is None else _settings(kept[0], model_path)

        return self._storage.submit(work)

    def remember(self, model_path: Path, settings: LoadSettings) -> Future[None]:
        """Keep the settings of a load that worked."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO last_load (model, settings) VALUES (?, ?)",
                (_key(model_path), _text(settings)),
            )

        return self._storage.submit(work)


def _key(model_path: Path) -> str:
    """Return the file's real path, spelled so that a name that is not UTF-8 can be kept too."""
    return os.fsencode(model_path.resolve()).decode("utf-8", "backslashreplace")


def _text(settings: LoadSettings) -> str:
    return json.dumps(to_plain(settings))


def _settings(text: str, model_path: Path) -> LoadSettings | None:
    try:
        return replace(from_plain(LoadSettings, json.loads(text)), model=model_path)
    except ValueError:
        return None  # of a version with other words
