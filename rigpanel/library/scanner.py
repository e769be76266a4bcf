# SPDX-License-Identifier: MIT
"""Keeps looking for models on a thread of its own, and tells when what it finds has changed."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rigpanel.library.discovery import Found, find_models
from rigpanel.library.header_cache import HeaderCache
from rigpanel.library.places import Place

PERIOD_S = 15.0
"""Between two looks; with all headers known, one takes a tenth of a second for 500 files."""


class LibraryScanner:
    """Looks through the places at once, then every so often and whenever it is asked to."""

    def __init__(
        self,
        places: Callable[[], Sequence[Place]],
        on_found: Callable[[Found], None],
        cache: Path | None = None,
        period_s: float = PERIOD_S,
    ) -> None:
        """`on_found` is called on the scanner's thread, at first and after each change."""
        self._places = places
        self._on_found = on_found
        self._cache = cache
        self._period_s = period_s
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="library", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def look_now(self) -> None:
        """Look again without waiting for the period's end."""
        self._asked.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End it; False if a place did not answer in time."""
        self._stopping.set()
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        told: Found | None = None
        with contextlib.closing(HeaderCache(self._cache)) as cache:
            while not self._stopping.is_set():
                self._asked.clear()
                found = find_models(self._places(), cache, self._stopping.is_set)
                if found != told and not self._stopping.is_set():
                    told = found
                    self._on_found(found)
                if not self._stopping.is_set():
                    self._asked.wait(self._period_s)
