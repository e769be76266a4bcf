# SPDX-License-Identifier: MIT
"""Python's garbage collected on the Qt thread only, so that no Qt object ends on another."""

import gc

from PySide6.QtCore import QObject, QTimer, Slot

CHECK_MS = 1000


class GarbageCollector(QObject):
    """Takes collecting over from whichever thread happens to allocate.

    Python collects on the thread that crosses a threshold; a widget that is part of a cycle would
    then be destroyed there, which Qt does not allow.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        gc.freeze()  # What a start has made stays to the end.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.check)
        self._timer.start(CHECK_MS)

    @Slot()
    def check(self) -> None:
        """Collect the oldest generation that is due, as Python itself counts."""
        due = [
            generation
            for generation, (count, threshold) in enumerate(
                zip(gc.get_count(), gc.get_threshold(), strict=True)
            )
            if count > threshold > 0
        ]
        if due:
            gc.collect(due[-1])
