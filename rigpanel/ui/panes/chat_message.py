# SPDX-License-Identifier: MIT
"""One message of the chat: who said it, its text, and what it took."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication, QResizeEvent, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QTextBrowser, QWidget

from rigpanel.ui.widgets import button, column, label, named, rename

if TYPE_CHECKING:
    from rigpanel.ui.markdown import MarkdownRenderer

RENDER_MS = 200
"""While text streams, Markdown is laid out anew this often; between, text is just added."""


class MessageText(QTextBrowser):
    """Text as tall as what it holds; the chat's own scroll area scrolls."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenExternalLinks(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(0)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    def sizeHint(self) -> QSize:
        """Width as given, height of the text."""
        return QSize(400, self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Follow the width."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the chat."""
        event.ignore()

    def _height(self) -> int:
        return int(self.document().size().height()) + 4

    @Slot()
    def _fit(self) -> None:
        if self._height() != self.height():
            self.setFixedHeight(self._height())


class ChatMessageView(QFrame):
    """A person's words or a reply; a reply may still be streaming."""

    def __init__(
        self,
        role: str,
        author: str,
        text: str,
        renderer: "MarkdownRenderer",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.role = role
        self.text = text
        self._renderer = renderer
        by_person = role == "user"
        if by_person:
            named(self, "bubble")
        rows = column(margins=(12, 8, 12, 10) if by_person else (12, 4, 12, 4), spacing=4)
        self.setLayout(rows)
        rows.addWidget(named(QLabel(author), "section"))
        self.browser = MessageText()
        self.browser.setAccessibleName(f"Message of {author}")
        rows.addWidget(self.browser)
        foot = QHBoxLayout()
        foot.setSpacing(12)
        self._note: QLabel = label("", "muted")
        self._copy = button("Copy", "link", "Copy this reply as Markdown")
        self._copy.setStyleSheet("font-size: 12px;")
        self._copy.clicked.connect(self.copy)
        foot.addWidget(self._note, 1)
        foot.addWidget(self._copy, 0, Qt.AlignmentFlag.AlignTop)
        rows.addLayout(foot)
        self._note.hide()
        self._copy.hide()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(RENDER_MS)
        self._soon.timeout.connect(self._render)
        self._render()

    def append(self, text: str) -> None:
        """Add streamed text; it shows at once and as Markdown a moment later."""
        self.text += text
        if not self._soon.isActive():
            self._soon.setInterval(max(RENDER_MS, len(self.text) // 20))
            self._soon.start()
        if self.browser.textCursor().hasSelection():
            return  # Laying out now would take the reader's selection away.
        cursor = QTextCursor(self.browser.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)

    def finish(self) -> None:
        """Lay out the whole text."""
        self._soon.stop()
        self._render()
        self._copy.setVisible(bool(self.text))

    def set_renderer(self, renderer: "MarkdownRenderer") -> None:
        """Draw in another theme."""
        self._renderer = renderer
        self._lay_out()

    def set_note(self, note: str, *, error: bool = False) -> None:
        """Show a line under the text."""
        rename(self._note, "error" if error else "muted")
        self._note.setText(note)
        self._note.setVisible(bool(note))

    @property
    def note(self) -> str:
        """The line under the text."""
        return self._note.text()

    def shown_text(self) -> str:
        """Return the text as a reader sees it."""
        return self.browser.toPlainText()

    @Slot()
    def copy(self) -> None:
        """Put the message on the clipboard as it was written."""
        QGuiApplication.clipboard().setText(self.text)

    @Slot()
    def _render(self) -> None:
        if self.browser.textCursor().hasSelection():
            self._soon.start()
        else:
            self._lay_out()

    def _lay_out(self) -> None:
        if self.role == "user":
            self.browser.setPlainText(self.text)
        else:
            self.browser.setHtml(self._renderer.to_html(self.text))
