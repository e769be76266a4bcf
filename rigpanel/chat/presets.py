# SPDX-License-Identifier: MIT
"""A person's own sampling presets, by name."""

import json
import sqlite3
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.messages import Sampling
from rigpanel.errors import RigpanelError
from rigpanel.storage import Storage, storable


class PresetError(RigpanelError):
    """A preset cannot be saved under this name; the text says why."""


class PresetStore:
    """Keeps presets in a Storage; the `built_in` names are taken."""

    def __init__(self, storage: Storage, built_in: Iterable[str]) -> None:
        self._storage = storage
        self._taken = {name.casefold() for name in built_in}

    def save(self, name: str, sampling: Sampling) -> Future[None]:
        """Save under a name, in place of what had it; the future raises PresetError."""
        name = storable(name.strip())

        def work(db: sqlite3.Connection) -> None:
            if not name:
                raise PresetError("The preset has no name, so it was not saved. Give it one.")
            if name.casefold() in self._taken:
                raise PresetError(
                    f"{name} is one of rigpanel's own presets, so yours was not saved. "
                    "Choose another name."
                )
            db.execute(
                "INSERT OR REPLACE INTO preset (name, sampling) VALUES (?, ?)",
                (name, json.dumps(to_plain(sampling))),
            )

        return self._storage.submit(work)

    def list(self) -> Future[dict[str, Sampling]]:
        """Return them by name, in the names' order."""

        def work(db: sqlite3.Connection) -> dict[str, Sampling]:
            saved = db.execute("SELECT name, sampling FROM preset ORDER BY name COLLATE NOCASE")
            found = {}
            for name, text in saved:
                with suppress(ValueError):  # of a version with other words
                    found[name] = from_plain(Sampling, json.loads(text))
            return found

        return self._storage.submit(work)

    def delete(self, name: str) -> Future[None]:
        """Forget one; one that is not there is no failure."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM preset WHERE name = ?", (storable(name.strip()),))

        return self._storage.submit(work)
