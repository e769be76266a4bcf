# SPDX-License-Identifier: MIT
"""Reckons where a load would go, off the Qt thread; only what was asked last is answered."""

import contextlib
import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from rigpanel.errors import RigpanelError
from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.measured import Measured
from rigpanel.fit.recommend import Recommendation, recommend
from rigpanel.fit.result import Fit
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.ui.panes.load.laid_over import Ground
from rigpanel.ui.panes.load.outside import DryRun

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """Settings of one model, and what they are laid over."""

    settings: LoadSettings
    ground: Ground


@dataclass(frozen=True, slots=True)
class FitAnswer:
    """Where everything goes by the formula, or the sentence that says why nothing does."""

    question: Question
    fit: Fit | str


@dataclass(frozen=True, slots=True)
class DryRunAnswer:
    """What llama.cpp said of a fit, or why it said nothing."""

    asked: LoadSettings
    measured: Measured | str


@dataclass(frozen=True, slots=True)
class Advice:
    """What would be best in the place of the question's settings; None where nothing fits."""

    question: Question
    best: Recommendation | None


class FitWork(QObject):
    """A thread for the formula and, while one is asked for, one that waits for a dry run."""

    reckoned = Signal(object)
    """A FitAnswer."""
    advised = Signal(object)
    """An Advice, or the sentence that says why there is none."""
    measured = Signal(object)
    """A DryRunAnswer."""

    def __init__(self, dry_run: DryRun | None, parent: QObject) -> None:
        super().__init__(parent)
        self._dry_run = dry_run
        self._asked = 0
        self._known: tuple[GgufHeader, Estimator] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fit")
        self._measuring = False
        self._next: LoadSettings | None = None
        self.measured.connect(self._go_on)
        self.destroyed.connect(
            functools.partial(self._pool.shutdown, wait=False, cancel_futures=True)
        )

    @property
    def can_measure(self) -> bool:
        """Whether there is a llama.cpp to ask."""
        return self._dry_run is not None

    @property
    def measuring(self) -> bool:
        """Whether a dry run is under way; its process holds some of the cards' memory."""
        return self._measuring

    def reckon(self, header: GgufHeader, question: Question) -> None:
        """Have the formula asked; a question that another has overtaken is dropped."""
        self._asked += 1
        self._pool.submit(self._reckon, self._asked, header, question)

    def advise(self, header: GgufHeader, question: Question) -> None:
        """Look for the best settings."""
        self._pool.submit(self._advise, header, question)

    def measure(self, settings: LoadSettings) -> None:
        """Have llama.cpp asked; while it is busy with another, the newest waits."""
        if self._dry_run is None:
            return
        if self._measuring:
            self._next = settings
            return
        self._measuring = True
        # A daemon: a llama.cpp that hangs may not hold up the panel's end.
        threading.Thread(
            target=self._measure, args=(self._dry_run, settings), name="dry-run", daemon=True
        ).start()

    @Slot()
    def _go_on(self) -> None:
        self._measuring = False
        waiting, self._next = self._next, None
        if waiting is not None:
            self.measure(waiting)

    def _estimator(self, header: GgufHeader) -> Estimator:
        """Return the model's formula, made once; raises FitError."""
        if self._known is None or self._known[0] is not header:
            self._known = (header, Estimator(header))
        return self._known[1]

    def _reckon(self, number: int, header: GgufHeader, question: Question) -> None:
        if number != self._asked:
            return
        ground = question.ground

        def fit() -> Fit:
            found = self._estimator(header).fit(question.settings, ground.devices)
            return replace(found, host_free_mib=ground.host_free_mib)

        found = _or_why_not(fit, "Where it would go could not be reckoned")
        with _while_it_is_there():
            self.reckoned.emit(FitAnswer(question, found))

    def _advise(self, header: GgufHeader, question: Question) -> None:
        ground = question.ground

        def advise() -> Advice:
            best = recommend(
                header,
                question.settings,
                ground.devices,
                ground.host_free_mib,
                self._estimator(header),
            )
            return Advice(question, best)

        advice = _or_why_not(advise, "No advice could be had")
        with _while_it_is_there():
            self.advised.emit(advice)

    def _measure(self, dry_run: DryRun, settings: LoadSettings) -> None:
        answer = _or_why_not(lambda: dry_run(settings), "The dry run failed unexpectedly")
        with _while_it_is_there():
            self.measured.emit(DryRunAnswer(settings, answer))


def _or_why_not(work: Callable[[], T], failed: str) -> T | str:
    """Return what comes of work, or the sentence that says why nothing does."""
    try:
        return work()
    except RigpanelError as error:
        return str(error)
    except Exception as error:
        log.exception("work for the load pane's picture failed unexpectedly")
        return f"{failed}: {error!r}."


def _while_it_is_there() -> contextlib.AbstractContextManager[None]:
    """Suppress what PySide6 raises for a signal of an object that is gone with its window."""
    return contextlib.suppress(RuntimeError)
