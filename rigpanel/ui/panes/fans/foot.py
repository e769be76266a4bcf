# SPDX-License-Identifier: MIT
"""The row that stays below: what was done or went wrong, and the buttons that reach the fans."""

from PySide6.QtCore import Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QHBoxLayout, QLabel, QWidget

from rigpanel.ui.widgets import button, label, named, rename

BESIDE_FROM_PX = 760


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
        self.said.hide()
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addStretch(1)
        self._whole = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._whole.setContentsMargins(0, 0, 0, 0)
        self._whole.addWidget(self.said, 1)
        self._whole.addLayout(row)
        for part in (self.unapplied, self.persist, self.auto, self.apply):
            row.addWidget(part)

    @Slot(str)
    def say(self, sentence: str) -> None:
        """Say what was done."""
        rename(self.said, "muted")
        self.said.setText(sentence)
        self.said.setVisible(bool(sentence))

    @Slot(str)
    def say_problem(self, sentence: str) -> None:
        """Say what is wrong until the next thing is done."""
        self.say(sentence)
        rename(self.said, "error")

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give what is said a row of its own where the buttons leave no room."""
        super().resizeEvent(event)
        beside = self.width() >= BESIDE_FROM_PX
        way = QBoxLayout.Direction
        self._whole.setDirection(way.LeftToRight if beside else way.TopToBottom)
