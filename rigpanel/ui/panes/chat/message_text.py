# SPDX-License-Identifier: MIT
"""The text of one message: as tall as what it holds, to be selected from while it grows."""

import time

from PySide6.QtCore import QMimeData, QSize, Qt, QTimer, QUrl, Slot
from PySide6.QtGui import (
    QDesktopServices,
    QGuiApplication,
    QKeyEvent,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QTextEdit, QToolTip, QWidget

from rigpanel.ui.inline import WEB
from rigpanel.ui.markdown_look import Look
from rigpanel.ui.markdown_page import CHROME, COPY, MarkdownPage

SHARE = 3
"""Laying out takes at most one part in so many of the time, once a block has become long."""
SLOWEST_MS = 300
DRAW_S = 0.012
"""Of a long text so much is drawn at once; laying that out takes about as long again."""
SHOWN_CHARS = 20_000
"""Of a person's message: what is longer was pasted or dragged in, and would be slow to lay out."""
SCROLL_KEYS = {
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_PageUp,
    Qt.Key.Key_PageDown,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
}


class MessageText(QTextBrowser):
    """Markdown that may grow; the chat's own scroll area scrolls."""

    def __init__(self, look: Look, *, muted: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._muted = muted
        self._text = ""
        self._whole = True
        self._plain = False
        self._cost_s = 0.0
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.document().setDocumentMargin(0)
        self._page = MarkdownPage(self.document(), look, muted=muted)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._draw)
        self._rest = QTimer(self, singleShot=True, interval=0)
        self._rest.timeout.connect(self._go_on)
        self.anchorClicked.connect(self._follow_link)
        self.document().documentLayout().documentSizeChanged.connect(self.updateGeometry)

    @property
    def unfinished(self) -> bool:
        """Whether a part of the text is still to be drawn; that goes on by itself."""
        return self._page.unfinished

    def set_plain(self, text: str) -> None:
        """Show a person's own words, as they were written."""
        self._plain = True
        self._text = text
        shown = text
        if len(text) > SHOWN_CHARS:
            more = f"{len(text) - SHOWN_CHARS:,}".replace(",", " ")
            shown = f"{text[:SHOWN_CHARS]}\n… and {more} more characters. Copy takes them all."
        self.setPlainText(shown)

    def set_markdown(self, text: str, *, whole: bool = True) -> None:
        """Show a text that begins with what is shown already; `whole` when it will not grow."""
        if text == self._text and whole == self._whole and not self._plain:
            return
        added = text[len(self._text) :]
        self._text, self._whole = text, whole
        if self._later.isActive() and not whole and not self._selected_in_what_changes():
            return
        if self._selected_in_what_changes():
            if added and not self._page.unfinished:
                self._page.append_raw(added)
            self._later.start(200)
            return
        self._draw()

    def set_look(self, look: Look) -> None:
        """Draw everything in another theme."""
        if self._plain:
            return
        self.clear()
        self._page = MarkdownPage(self.document(), look, muted=self._muted)
        self._page.draw(self._text, whole=self._whole, at_most_s=DRAW_S)
        self._see_to_the_rest()

    def mark(
        self, query: str, look: QTextCharFormat, current: int | None, current_look: QTextCharFormat
    ) -> None:
        """Give every place `query` stands at a look of its own."""
        marks = []
        for number, cursor in enumerate(self.places(query)):
            selection = QTextEdit.ExtraSelection()
            selection.cursor = cursor
            selection.format = current_look if number == current else look
            marks.append(selection)
        self.setExtraSelections(marks)

    def places(self, query: str) -> list[QTextCursor]:
        """Return where `query` stands in the text, upper and lower case alike."""
        found: list[QTextCursor] = []
        cursor = QTextCursor(self.document())
        while query:
            cursor = self.document().find(query, cursor, QTextDocument.FindFlag(0))
            if cursor.isNull():
                break
            if not cursor.blockFormat().hasProperty(CHROME):
                found.append(cursor)
        return found

    def sizeHint(self) -> QSize:
        """Width as given, height of the text."""
        return QSize(400, self.heightForWidth(max(self.width(), 1)))

    def minimumSizeHint(self) -> QSize:
        """As narrow as can be."""
        return QSize(40, self.fontMetrics().lineSpacing())

    def hasHeightForWidth(self) -> bool:
        """Text is taller where it is narrower."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height the text takes at a width."""
        document = self.document()
        if document.textWidth() != width:
            document.setTextWidth(width)
        return int(document.size().height()) + 2

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the chat."""
        event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave scrolling to the chat, too."""
        if event.key() in SCROLL_KEYS and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def createMimeDataFromSelection(self) -> QMimeData:
        """Copy the words themselves, without what stands around code."""
        data = QMimeData()
        data.setText(selected_text(self.textCursor()))
        return data

    def _selected_in_what_changes(self) -> bool:
        cursor = self.textCursor()
        return cursor.hasSelection() and cursor.selectionEnd() > self._page.changing_from

    @Slot()
    def _draw(self) -> None:
        if self._selected_in_what_changes():
            self._later.start(200)
            return
        begun_s = time.perf_counter()
        self._page.draw(self._text, whole=self._whole, at_most_s=DRAW_S)
        self._see_to_the_rest()
        self.document().size()  # lays out what is new, which is most of the cost
        self._cost_s = time.perf_counter() - begun_s
        if self._cost_s > 0.008 and not self._whole:
            self._later.start(min(int(self._cost_s * 1000 * SHARE), SLOWEST_MS))

    def _see_to_the_rest(self) -> None:
        if self._page.unfinished:
            self._rest.start()

    @Slot()
    def _go_on(self) -> None:
        self._page.go_on(DRAW_S)
        self.document().size()
        self._see_to_the_rest()

    @Slot(QUrl)
    def _follow_link(self, url: QUrl) -> None:
        target = url.toString()
        if target.startswith(COPY):
            QGuiApplication.clipboard().setText(self._page.code(target))
            QToolTip.showText(self.cursor().pos(), "Copied", self)
        elif target.lower().startswith(WEB):
            QDesktopServices.openUrl(url)


def selected_text(cursor: QTextCursor) -> str:
    """Return what is selected, a line each paragraph, without the words above code."""
    begin, end = cursor.selectionStart(), cursor.selectionEnd()
    block = cursor.document().findBlock(begin)
    lines = []
    while block.isValid() and block.position() < end:
        if not block.blockFormat().hasProperty(CHROME):
            first = max(begin - block.position(), 0)
            text = block.text().encode("utf-16-le", "surrogatepass")
            piece = text[2 * first : 2 * (end - block.position())]
            lines.append(piece.decode("utf-16-le", "replace").replace("\u2028", "\n"))
        block = block.next()
    return "\n".join(lines)
