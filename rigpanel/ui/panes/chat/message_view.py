# SPDX-License-Identifier: MIT
"""One message of the chat: who said it, its text, what it took, and what can be done with it."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolTip,
    QWidget,
)

from rigpanel.ui.markdown_look import Look
from rigpanel.ui.panes.chat.figures import author, note_of, reasoning_title
from rigpanel.ui.panes.chat.message_text import MessageText
from rigpanel.ui.panes.chat.talk import Said
from rigpanel.ui.widgets import ElidedLabel, button, column, label, named, rename, shrinkable

BEFORE, AFTER = (
    "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
)


class MessageView(QFrame):
    """A person's words or a reply; a reply may still be streaming."""

    resized = Signal(int)
    """The message's key: it needs another height."""
    edit_requested = Signal(int)
    again_requested = Signal(int)
    branch_requested = Signal(int, int)
    """The message's key and -1 for the branch before it, 1 for the one after."""

    def __init__(self, said: Said, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.said = said
        self._look = look
        self._again: QPushButton | None = None
        self._switch: tuple[QPushButton, QLabel, QPushButton] | None = None
        by_person = said.role == "user"
        if by_person:
            named(self, "bubble")
        rows = column(margins=(12, 8, 12, 10) if by_person else (12, 4, 12, 4), spacing=4)
        self.setLayout(rows)
        rows.addLayout(self._head())
        self.fold: QPushButton | None = None
        self.thoughts: MessageText | None = None
        self.browser = MessageText(look)
        self.browser.setAccessibleName(f"Message of {author(said)}")
        rows.addWidget(self.browser)
        self._note: QLabel = label("", "muted")
        rows.addWidget(self._note)
        self._note.hide()
        self.take()

    @property
    def note(self) -> str:
        """The line under the text."""
        return self._note.text()

    @property
    def note_tip(self) -> str:
        """What stands in the line's tooltip."""
        return self._note.toolTip()

    def shown_text(self) -> str:
        """Return the text as a reader sees it."""
        return self.browser.toPlainText()

    def take(self) -> None:
        """Show the message as it is now."""
        said = self.said
        if said.role == "user":
            self.browser.set_plain(said.text)
        else:
            self.browser.set_markdown(said.text, whole=said.finished)
            self.browser.setVisible(bool(said.text))
            self._take_thoughts()
        note, tip, error = note_of(said)
        rename(self._note, "error" if error else "muted")
        self._note.setText(note)
        self._note.setToolTip(tip)
        self._note.setVisible(bool(note))
        if self._again is not None:
            self._again.setVisible(said.finished)
        self._copy.setVisible(bool(said.text))

    def set_branches(self, place: int, count: int) -> None:
        """Show which of the branches that begin here this one is."""
        if count < 2:
            return
        if self._switch is None:
            self._switch = self._make_switch()
        before, which, after = self._switch
        which.setText(f"{place + 1}/{count}")
        before.setEnabled(place > 0)
        after.setEnabled(place + 1 < count)

    def set_look(self, look: Look) -> None:
        """Draw in another theme."""
        self._look = look
        self.browser.set_look(look)
        if self.thoughts is not None:
            self.thoughts.set_look(look)

    def height_at(self, width: int) -> int:
        """Return the height the message takes at a width."""
        layout = self.layout()
        assert layout is not None  # noqa: S101 - it was set when the view was made
        layout.invalidate()
        return layout.totalHeightForWidth(width)

    def _fits(self) -> bool:
        # Not by `height_at`: it has Qt ask for the layout again, and so without an end.
        layout = self.layout()
        return layout is None or layout.totalHeightForWidth(self.width()) == self.height()

    def has_selection(self) -> bool:
        """Tell whether the reader holds something of it."""
        texts = [self.browser] + ([self.thoughts] if self.thoughts else [])
        return any(text.textCursor().hasSelection() for text in texts)

    def has_focus(self) -> bool:
        """Tell whether the keys go to a part of it."""
        focused = QApplication.focusWidget()
        return focused is not None and self.isAncestorOf(focused)

    def first_stop(self) -> QWidget:
        """Return what Tab reaches first."""
        return self._copy if self._switch is None else self._switch[0]

    def last_stop(self) -> QWidget:
        """Return what Tab reaches last."""
        return self.browser

    def event(self, event: QEvent) -> bool:
        """Say when a part of it wants another height."""
        if event.type() == QEvent.Type.LayoutRequest and not self._fits():
            self.resized.emit(self.said.key)
        return super().event(event)

    @Slot()
    def copy(self) -> None:
        """Put the message on the clipboard as it was written."""
        QGuiApplication.clipboard().setText(self.said.text)
        below = self._copy.mapToGlobal(self._copy.rect().bottomLeft())
        QToolTip.showText(below, "Copied", self._copy)

    @Slot()
    def toggle_thoughts(self) -> None:
        """Open what the model thought before it answered, or fold it away."""
        self.said.thoughts_open = not self.said.thoughts_open
        self._take_thoughts()
        self.resized.emit(self.said.key)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setSpacing(10)
        who = shrinkable(named(ElidedLabel(author(self.said)), "section"))
        who.setToolTip(author(self.said))
        head.addWidget(who, 1)
        self._tools = QHBoxLayout()
        self._tools.setSpacing(10)
        head.addLayout(self._tools)
        what = "this reply as Markdown"
        if self.said.role == "user":
            what = "this message"
            edit = "Write it anew, as a branch beside this one"
            self._tools.addWidget(self._tool("Edit", edit, self._ask_edit))
        else:
            again = "Answer again, as a branch beside this one"
            self._again = self._tool("Regenerate", again, self._ask_again)
            self._tools.addWidget(self._again)
        self._copy = self._tool("Copy", f"Copy {what}", self.copy)
        self._tools.addWidget(self._copy)
        return head

    def _make_switch(self) -> tuple[QPushButton, QLabel, QPushButton]:
        """Return the two ways to the branches beside this one, and the count between them."""
        before = self._tool(BEFORE, "The branch before this one", self._go_before)
        after = self._tool(AFTER, "The branch after this one", self._go_after)
        made = (before, named(QLabel(), "muted"), after)
        for place, part in enumerate(made):
            self._tools.insertWidget(place, part)
        return made

    def _tool(self, text: str, tip: str, slot: Callable[[], None]) -> QPushButton:
        made = button(text, "quiet", tip)
        made.setAccessibleName(tip)
        made.clicked.connect(slot)
        return made

    def _take_thoughts(self) -> None:
        said = self.said
        if not said.reasoning:
            return
        layout = self.layout()
        assert layout is not None  # noqa: S101 - it was set when the view was made
        if self.fold is None:
            self.fold = button("", "quiet", "What the model thought before it answered")
            self.fold.clicked.connect(self.toggle_thoughts)
            self.thoughts = MessageText(self._look, muted=True)
            self.thoughts.setAccessibleName("What the model thought")
            layout.insertWidget(1, self.fold, 0, Qt.AlignmentFlag.AlignLeft)  # type: ignore[attr-defined]
            layout.insertWidget(2, self.thoughts)  # type: ignore[attr-defined]
        assert self.thoughts is not None  # noqa: S101 - made together with the fold
        arrow = "▾" if said.thoughts_open else "▸"
        self.fold.setText(f"{arrow} {reasoning_title(said)}")
        if said.thoughts_open:
            self.thoughts.set_markdown(said.reasoning, whole=said.finished or bool(said.text))
        self.thoughts.setVisible(said.thoughts_open)

    @Slot()
    def _ask_edit(self) -> None:
        self.edit_requested.emit(self.said.key)

    @Slot()
    def _ask_again(self) -> None:
        self.again_requested.emit(self.said.key)

    @Slot()
    def _go_before(self) -> None:
        self.branch_requested.emit(self.said.key, -1)

    @Slot()
    def _go_after(self) -> None:
        self.branch_requested.emit(self.said.key, 1)
