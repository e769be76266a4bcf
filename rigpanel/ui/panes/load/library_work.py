# SPDX-License-Identifier: MIT
"""Looks for models and at how each goes with the rig, on threads, while the list is open."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from rigpanel.errors import RigpanelError
from rigpanel.fit.estimate import Estimator
from rigpanel.fit.glance import Glance, glance
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.discovery import Found, ModelFile
from rigpanel.library.gguf_header import read_header
from rigpanel.library.places import Place
from rigpanel.library.scanner import LibraryScanner
from rigpanel.ui.panes.load.laid_over import Ground

Places = Callable[[], Sequence[Place]]


@dataclass(frozen=True, slots=True)
class Glanced:
    """How one model goes with the rig, or the sentence that says why it cannot be loaded."""

    model: ModelFile
    glance: Glance | str


class LibraryWork(QObject):
    """The scanner's thread, and one that looks at what it finds."""

    found = Signal(object)
    """A `library.discovery.Found`, at first and after each change."""
    glanced = Signal(object)
    """A Glanced."""

    def __init__(self, places: Places, cache: Path | None, parent: QObject) -> None:
        super().__init__(parent)
        self._places = places
        self._cache = cache
        self._scanner: LibraryScanner | None = None
        self._round = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="glance")
        self._ending: list[LibraryScanner] = []
        """What has to be told to end with the window."""
        self.destroyed.connect(functools.partial(_end, self._pool, self._ending))

    def start(self) -> None:
        """Begin to look, and keep looking."""
        if self._scanner is None:
            self._scanner = LibraryScanner(self._places, self._tell, self._cache)
            self._ending[:] = [self._scanner]
            self._scanner.start()

    def look_now(self) -> None:
        """Look again at once."""
        if self._scanner is not None:
            self._scanner.look_now()

    def stop(self) -> None:
        """Look no more; what is under way ends by itself."""
        self._round += 1
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            scanner.stop(timeout_s=0)

    def look_at(self, models: Sequence[ModelFile], n_ctx: int, ground: Ground) -> None:
        """Find out how each goes with the rig; another call takes the place of this."""
        self._round += 1
        for model in models:
            self._pool.submit(self._look_at, self._round, model, n_ctx, ground)

    def _look_at(self, of_round: int, model: ModelFile, n_ctx: int, ground: Ground) -> None:
        if of_round != self._round:
            return
        answer: Glance | str
        try:
            asked = LoadSettings(model.path, n_ctx=min(n_ctx, model.n_ctx_train or n_ctx))
            estimator = Estimator(read_header(model.path))
            answer = glance(estimator, asked, ground.devices, ground.host_free_mib)
        except RigpanelError as error:
            answer = str(error)
        with contextlib.suppress(RuntimeError):  # The window may be gone.
            self.glanced.emit(Glanced(model, answer))

    def _tell(self, found: Found) -> None:
        with contextlib.suppress(RuntimeError):
            self.found.emit(found)


def _end(pool: ThreadPoolExecutor, scanners: Sequence[LibraryScanner]) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    for scanner in scanners:
        scanner.stop(timeout_s=0)
