# SPDX-License-Identifier: MIT
"""One message of the chat: who said it, its text, and what it took."""

from PySide6.QtCore import QSize, Qt, QTimer, Slot
from PySide6.QtGui import QResizeEvent, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QTextBrowser, QVBoxLayout, QWidget

from rigpanel.ui.markdown import MarkdownRenderer
from rigpanel.ui.widgets import label, named

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
        self.setFixedHeight(self._height())


class ChatMessageView(QFrame):
    """A person's words or a reply; a reply may still be streaming."""

    def __init__(
        self, role: str, text: str, renderer: MarkdownRenderer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.role = role
        self.text = text
        self._renderer = renderer
        self._rendered = ""
        if role == "user":
            named(self, "card")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.setSpacing(4)
        layout.addWidget(named(QLabel("You" if role == "user" else "Model"), "section"))
        self._browser = MessageText()
        layout.addWidget(self._browser)
        self._note: QLabel = label("", "muted")
        self._note.hide()
        layout.addWidget(self._note)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(RENDER_MS)
        self._soon.timeout.connect(self._render)
        self._render()

    def append(self, text: str) -> None:
        """Add streamed text; it shows at once and as Markdown a moment later."""
        self.text += text
        if self._browser.textCursor().hasSelection():
            return  # Laying out now would take the reader's selection away.
        cursor = QTextCursor(self._browser.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)
        if not self._soon.isActive():
            self._soon.setInterval(max(RENDER_MS, len(self.text) // 20))
            self._soon.start()

    def finish(self) -> None:
        """Lay out the whole text."""
        self._soon.stop()
        self._render()

    def set_renderer(self, renderer: MarkdownRenderer) -> None:
        """Draw in another theme."""
        self._renderer = renderer
        self._rendered = ""
        self._render()

    def set_note(self, note: str, *, error: bool = False) -> None:
        """Show a line under the text."""
        named(self._note, "error" if error else "muted")
        self._note.style().polish(self._note)
        self._note.setText(note)
        self._note.setVisible(bool(note))

    @property
    def note(self) -> str:
        """The line under the text."""
        return self._note.text()

    def shown_text(self) -> str:
        """Return the text as a reader sees it."""
        return self._browser.toPlainText()

    @Slot()
    def _render(self) -> None:
        if self._browser.textCursor().hasSelection() and self._rendered:
            self._soon.start()
            return
        if self.role == "user":
            self._browser.setPlainText(self.text)
        else:
            self._browser.setHtml(self._renderer.to_html(self.text))
        self._rendered = self.text
