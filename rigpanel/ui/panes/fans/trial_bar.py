# SPDX-License-Identifier: MIT
"""A change that is in force on trial: keep it, or it goes back."""

import math

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from rigpanel.ui.widgets import button, label, named


class TrialBar(QFrame):
    """Counts down; hidden while nothing is on trial."""

    kept = Signal()
    taken_back = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "banner")
        self.setProperty("tone", "trial")
        self.sentence = label("", "strong")
        self.keep = button("Keep it", "primary", "Leave it in force (Ctrl+Return)")
        self.back = button("Take it back", "", "Return to what was in force before")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 6)
        row.setSpacing(8)
        row.addWidget(self.sentence, 1)
        row.addWidget(self.back)
        row.addWidget(self.keep)
        self.keep.clicked.connect(self.kept)
        self.back.clicked.connect(self.taken_back)
        self.hide()

    def show_left(self, card: str, left_s: float | None) -> None:
        """Say how long is left; None hides the bar."""
        self.setVisible(left_s is not None)
        if left_s is not None:
            self.sentence.setText(
                f"The change on {card} is in force. Keep it? Without a word it goes back in "
                f"{math.ceil(left_s)} s."
            )
