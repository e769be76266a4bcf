# SPDX-License-Identifier: MIT
"""What headers said when they were read last, by path, size and time of their files.

It is kept apart from what must not be lost: it can be thrown away at any time.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FILE_NAME = "headers.sqlite3"
VERSION = 3
"""Another one empties the cache."""
BUSY_S = 2.0

Stamp = tuple[tuple[str, int, int], ...]
"""Path, size and time of change of each file of a model."""


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Return what tells whether a model's files are still the same; raises OSError."""
    stamps = []
    for path in paths:
        known = path.stat()
        stamps.append((str(path), known.st_size, known.st_mtime_ns))
    return tuple(stamps)


class HeaderCache:
    """A file of what is known of models; where it cannot be used, nothing is remembered."""

    def __init__(self, path: Path | None) -> None:
        self._connection: sqlite3.Connection | None = None
        if path is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._connection = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_S)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            path.unlink()
            connection = sqlite3.connect(path, timeout=BUSY_S)
            version = 0
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            if version != VERSION:
                connection.execute("DROP TABLE IF EXISTS header")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS header ("
                "path BLOB PRIMARY KEY, stamp TEXT NOT NULL, known TEXT NOT NULL) WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA user_version = {VERSION}")
        return connection

    def all_known(self) -> dict[str, tuple[str, Any]]:
        """Return stamp and knowledge of every path."""
        if self._connection is None:
            return {}
        try:
            rows = self._connection.execute("SELECT path, stamp, known FROM header").fetchall()
            return {os.fsdecode(path): (stamp, json.loads(known)) for path, stamp, known in rows}
        except (sqlite3.Error, ValueError):
            return {}

    def keep(self, known: dict[str, tuple[str, Any]]) -> None:
        """Remember these in the place of all that was known."""
        if self._connection is None:
            return
        # A path need not be text: it is kept as the bytes it is on the disk.
        rows = [
            (os.fsencode(path), stamp, json.dumps(what)) for path, (stamp, what) in known.items()
        ]
        with contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.execute("DELETE FROM header")
            self._connection.executemany("INSERT INTO header VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
