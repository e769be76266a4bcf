# SPDX-License-Identifier: MIT
"""Find in the conversation: also in messages that have not been laid out."""

import re

from PySide6.QtCore import QRect, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QTextCharFormat
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QWidget

from rigpanel.ui.panes.chat.talk import Said
from rigpanel.ui.panes.chat.transcript import Transcript
from rigpanel.ui.style import mix
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import CLOSE, button, label, named

_NOT_SHOWN = re.compile(r"^ *(?:```|~~~).*$|\*\*|`|(?<=\])\([^)\s]*\)", re.MULTILINE)
"""Of Markdown: fences with their language, marks, and what a link leads to."""


class FindBar(QFrame):
    """A line to write in, how many were found, and the way from one to the next."""

    closed = Signal()

    def __init__(self, transcript: Transcript, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "inset")
        self._transcript = transcript
        self._theme = theme
        self._path: list[Said] = []
        self._hits: list[tuple[int, int]] = []
        """Key of a message and which of the places in it."""
        self._at = 0
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 4, 4)
        row.setSpacing(6)
        self.line = QLineEdit(placeholderText="Find in this conversation")
        self.line.setAccessibleName("Find in this conversation")
        self.line.setToolTip("Enter goes to the next, Shift+Enter to the one before")
        self.line.textChanged.connect(self._search)
        self.count = label("", "muted")
        self.count.setWordWrap(False)
        before = button("↑", "fold", "The one before (Shift+Enter)")
        before.clicked.connect(self.before)
        after = button("↓", "fold", "The next (Enter)")
        after.clicked.connect(self.next)
        close = button(CLOSE, "fold", "Close (Esc)")
        close.clicked.connect(self.close_bar)
        row.addWidget(self.line, 1)
        row.addWidget(self.count)
        for part in (before, after, close):
            part.setFixedSize(26, 26)
            part.setAccessibleName(part.toolTip())
            row.addWidget(part)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Mark in another theme's colours."""
        self._theme = theme
        if self.isVisible():
            self._mark()

    def open_on(self, path: list[Said]) -> None:
        """Open for the messages of a branch."""
        self._path = path
        self.show()
        self.line.setFocus()
        self.line.selectAll()
        self._search()

    def set_path(self, path: list[Said]) -> None:
        """Look in other messages from now on, if the bar is open."""
        self._path = path
        if self.isVisible():
            self._find()
            self._mark()

    @Slot()
    def next(self) -> None:
        """Go to the next place."""
        self._step(1)

    @Slot()
    def before(self) -> None:
        """Go to the place before."""
        self._step(-1)

    @Slot()
    def close_bar(self) -> None:
        """Close, and take the marks away."""
        self.hide()
        for view in self._transcript.views:
            view.browser.setExtraSelections([])
        self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter, Shift+Enter and Esc."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_bar()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._step(-1 if back else 1)
        else:
            super().keyPressEvent(event)

    @Slot()
    def _search(self) -> None:
        self._find()
        self._at = max(0, len(self._hits) - 1)  # the newest first: it is the nearest
        self._go()

    def _find(self) -> None:
        query = self.line.text().lower()
        self._hits = [
            (said.key, nth)
            for said in self._path
            for nth in range(_as_shown(said).count(query) if query else 0)
        ]
        self._at = min(self._at, max(0, len(self._hits) - 1))

    def _step(self, step: int) -> None:
        if self._hits:
            self._at = (self._at + step) % len(self._hits)
            self._go()

    def _go(self) -> None:
        if self._hits:
            key, nth = self._hits[self._at]
            view = self._transcript.view(key) or self._transcript.reveal(key)
            places = view.browser.places(self.line.text())
            if nth < len(places):
                rect: QRect = view.browser.cursorRect(places[nth])
                rect.translate(view.browser.pos())
                self._transcript.reveal_rect(key, rect)
            else:
                self._transcript.reveal(key)
        self._mark()

    def _mark(self) -> None:
        query = self.line.text()
        some = f"{self._at + 1} of {len(self._hits)}" if self._hits else "None"
        self.count.setText(some if query else "")
        theme = self._theme
        ground = QTextCharFormat()
        ground.setBackground(QColor(mix(theme.warm, theme.surface, 0.3)))
        here = QTextCharFormat()
        here.setBackground(QColor(theme.warm))
        here.setForeground(QColor(theme.background))
        current = self._hits[self._at] if self._hits else (None, 0)
        for view in self._transcript.views:
            at = current[1] if view.said.key == current[0] else None
            view.browser.mark(query, ground, at, here)


def _as_shown(said: Said) -> str:
    """Return a message's text about as it is shown, for what is not laid out."""
    return (said.text if said.role == "user" else _bare(said.text)).lower()


def _bare(markdown: str) -> str:
    return _NOT_SHOWN.sub("", markdown)
