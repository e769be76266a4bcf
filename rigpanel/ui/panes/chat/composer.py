# SPDX-License-Identifier: MIT
"""Where a message is written: a few lines that grow, and the keys that send and stop."""

from PySide6.QtCore import QMimeData, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QWidget

MOST_LINES = 8
LONG_PASTE_CHARS = 20_000


class Composer(QPlainTextEdit):
    """Enter sends, Shift+Enter starts a line, Esc stops a reply."""

    send_requested = Signal()
    stop_requested = Signal()
    edit_requested = Signal()
    """Up was pressed with nothing written: the last message is to be written anew."""
    files_dropped = Signal(object)
    """Paths of this machine, a list of str."""
    text_pasted = Signal(str)
    """A text too long to be written in; it is to be sent along."""
    focus_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setAccessibleName("Message")
        self.setToolTip("Enter sends, Shift+Enter starts a new line, Esc stops a reply (Ctrl+L)")
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def write(self, text: str) -> None:
        """Put a text in, to be gone on with at its end."""
        self.setPlainText(text)
        self.moveCursor(QTextCursor.MoveOperation.End)

    def invite(self, words: str) -> None:
        """Say in an empty field what it is for."""
        self.setPlaceholderText(words)
        self.viewport().update()  # Qt does so only where the words come or go as a whole

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Send, stop, or write."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not (
            event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        ):
            self.send_requested.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.stop_requested.emit()
        elif event.key() == Qt.Key.Key_Up and self.document().isEmpty():
            self.edit_requested.emit()
        else:
            super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Take files, too."""
        return source.hasUrls() or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Take what is pasted or dropped: files and very long texts are sent along."""
        paths = [url.toLocalFile() for url in source.urls() if url.isLocalFile()]
        if paths:
            self.files_dropped.emit(paths)
        elif len(source.text()) > LONG_PASTE_CHARS:
            self.text_pasted.emit(source.text())
        else:
            super().insertFromMimeData(source)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Let the frame around show where the keys go."""
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Let the frame around show that the keys go elsewhere."""
        super().focusOutEvent(event)
        self.focus_changed.emit(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Count the lines anew at another width."""
        super().resizeEvent(event)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        lines = min(max(int(self.document().size().height()), 1), MOST_LINES)
        height = self.fontMetrics().lineSpacing() * lines + 18
        if height != self.height():
            self.setFixedHeight(height)
