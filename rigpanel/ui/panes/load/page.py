# SPDX-License-Identifier: MIT
"""What every page that stands in the loader's place has: a title, and a way back."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from rigpanel.ui.widgets import CLOSE, button, column, named, shrinkable

ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Page(QWidget):
    """The cross and Esc lead back."""

    close_requested = Signal()

    def __init__(self, title: str, tip: str) -> None:
        super().__init__()
        self.column = column(margins=(16, 10, 8, 12), spacing=8)
        """What is on the page, from top to bottom."""
        self.setLayout(self.column)
        head = QHBoxLayout()
        head.addWidget(shrinkable(named(QLabel(title), "title")), 1)
        close = button(CLOSE, "fold", tip)
        close.setAccessibleName("Back")
        close.setFixedSize(28, 28)
        close.clicked.connect(self.close_requested)
        head.addWidget(close)
        self.column.addLayout(head)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go back on Esc."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_requested.emit()
        else:
            super().keyPressEvent(event)
