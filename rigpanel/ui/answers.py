# SPDX-License-Identifier: MIT
"""Answers of other threads' futures, brought to the Qt thread."""

import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from rigpanel.errors import RigpanelError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Answers(QObject):
    """Calls back on the thread it was made on; not at all once it has been deleted."""

    _arrived = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: ThreadPoolExecutor | None = None
        self._arrived.connect(self._take)

    def bring(
        self,
        future: Future[T],
        then: Callable[[T], object],
        failed: Callable[[str], object],
    ) -> None:
        """Call `then` with what the future brings, or `failed` with the sentence that says why."""

        def tell(done: Future[T]) -> None:
            try:
                self._arrived.emit(then, failed, done)
            except RuntimeError:
                log.debug("an answer came after its receiver was gone")

        future.add_done_callback(tell)

    def run(
        self, work: Callable[[], T], then: Callable[[T], object], failed: Callable[[str], object]
    ) -> None:
        """Do on another thread what may wait for a disk, and bring what comes of it."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="answers")
            stop = functools.partial(self._worker.shutdown, wait=False, cancel_futures=True)
            self.destroyed.connect(stop)
        self.bring(self._worker.submit(work), then, failed)

    @Slot(object, object, object)
    def _take(
        self,
        then: Callable[[object], object],
        failed: Callable[[str], object],
        future: Future[object],
    ) -> None:
        try:
            result = future.result()
        except RigpanelError as error:
            failed(str(error))
        else:
            then(result)
