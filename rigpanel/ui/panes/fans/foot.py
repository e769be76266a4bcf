# SPDX-License-Identifier: MIT
"""The row that stays below: what was done or went wrong, and the buttons that reach the fans."""

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QWidget

from rigpanel.ui.widgets import button, label, named, rename


class Foot(QWidget):
    """Puts a curve in force, or hands the fans back."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.said = label("", "muted")
        self.unapplied = named(QLabel("not applied yet"), "muted")
        self.persist = QCheckBox("Keep over a restart")
        self.persist.setToolTip("Else the curve ends when the fan helper ends")
        self.auto = button("Card's own control", "", "Hand this card's fans back")
        self.apply = button("Apply", "primary", "In force at once; without a word it goes back")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self.said, 1)
        for part in (self.unapplied, self.persist, self.auto, self.apply):
            row.addWidget(part)

    @Slot(str)
    def say(self, sentence: str) -> None:
        """Say what was done."""
        rename(self.said, "muted")
        self.said.setText(sentence)

    @Slot(str)
    def say_problem(self, sentence: str) -> None:
        """Say what is wrong until the next thing is done."""
        rename(self.said, "error")
        self.said.setText(sentence)
