# SPDX-License-Identifier: MIT
"""Below the transcript: what went wrong, what is sent along, and where a message is written."""

import functools
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QWidget

from rigpanel.engine.templates import TEMPLATES
from rigpanel.ui.answers import Answers
from rigpanel.ui.panes.chat.attachments import (
    Attachment,
    read_attachment,
    with_attachments,
)
from rigpanel.ui.panes.chat.composer import Composer
from rigpanel.ui.panes.chat.trouble import EngineTrouble
from rigpanel.ui.widgets import CLOSE, button, column, label, named


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that has not been sent."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()


NEW = Draft()


class ChatFoot(QWidget):
    """Everything that belongs to the message being written."""

    send_requested = Signal()
    stop_requested = Signal()
    changed = Signal()
    """What would be sent is another."""
    template_chosen = Signal(str)
    edit_given_up = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answers = Answers(self)
        self.attachments: tuple[Attachment, ...] = ()
        rows = column(margins=(16, 4, 16, 16), spacing=8)
        self.setLayout(rows)
        self.trouble = EngineTrouble()
        self.no_template = self._template_choice()
        self.told = label("", "error")
        self.told.hide()
        self.disk = label("", "error")
        self.disk.hide()
        self._chips = QWidget()
        self._chip_rows = column(spacing=4)
        self._chips.setLayout(self._chip_rows)
        self._chips.hide()
        self.editing = self._editing_row()
        for part in (
            self.trouble, self.no_template, self.disk, self.told, self.editing, self._chips
        ):  # fmt: skip
            rows.addWidget(part)
        rows.addWidget(self._frame())

    def text(self) -> str:
        """Return the message as it would be sent."""
        return with_attachments(self.composer.toPlainText().strip(), self.attachments)

    def draft(self) -> Draft:
        """Return what is being written, to be gone on with later."""
        return Draft(self.composer.toPlainText(), self.attachments)

    def go_on(self, draft: Draft = NEW) -> None:
        """Begin another message, or go on with one that was laid aside."""
        self.composer.write(draft.text)
        self.attachments = draft.attachments
        self._show_chips()
        self.tell("")

    def attach(self, paths: list[str]) -> None:
        """Read files to be sent along."""
        self.tell("")
        for path in paths:
            read = functools.partial(read_attachment, Path(path))
            self._answers.run(read, self._take_file, self.tell)

    def tell(self, sentence: str) -> None:
        """Say what is wrong with what was to be sent."""
        self.told.setText(sentence)
        self.told.setVisible(bool(sentence))

    def tell_of_disk(self, sentence: str) -> None:
        """Say that nothing can be written, once, until it works again."""
        more = f"{sentence} What is said is kept in memory and written once it works again."
        self.disk.setText(more if sentence else "")
        self.disk.setVisible(bool(sentence))

    def _frame(self) -> QFrame:
        self._box = named(QFrame(), "composer")
        row = QHBoxLayout(self._box)
        row.setContentsMargins(10, 6, 8, 6)
        row.setSpacing(8)
        self.composer = Composer()
        self.composer.send_requested.connect(self.send_requested)
        self.composer.stop_requested.connect(self.stop_requested)
        self.composer.textChanged.connect(self.changed)
        self.composer.focus_changed.connect(self._show_focus)
        self.composer.files_dropped.connect(self.attach)
        self.composer.text_pasted.connect(self._take_paste)
        row.addWidget(self.composer, 1)
        self.send_button = button("Send", "primary", "Enter sends, Shift+Enter starts a new line")
        self.send_button.clicked.connect(self.send_requested)
        self.stop_button = button("Stop", "", "Stop the reply (Esc)")
        self.stop_button.clicked.connect(self.stop_requested)
        for part in (self.send_button, self.stop_button):
            row.addWidget(part, 0, Qt.AlignmentFlag.AlignBottom)
        return self._box

    def _editing_row(self) -> QWidget:
        held = QWidget()
        row = QHBoxLayout(held)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label("Sent anew, as a branch beside the old one.", "muted"), 1)
        leave = button("Leave it", "link", "Keep the message as it was (Esc)")
        leave.clicked.connect(self.edit_given_up)
        row.addWidget(leave, 0, Qt.AlignmentFlag.AlignTop)
        held.hide()
        return held

    def _template_choice(self) -> QFrame:
        frame = named(QFrame(), "problem")
        rows = column(margins=(12, 8, 12, 10), spacing=6)
        frame.setLayout(rows)
        rows.addWidget(
            label(
                "This model brings no chat template, so it cannot be chatted with. Choose the one "
                "it was trained on; its model card says which."
            )
        )
        row = QHBoxLayout()
        row.setSpacing(8)
        self.template = QComboBox()
        self.template.setAccessibleName("Chat template")
        self.template.addItems(TEMPLATES)
        self.template.setCurrentText("chatml")
        reload = button("Reload with it", "", "Load the model again with this template")
        reload.clicked.connect(self._choose_template)
        row.addWidget(self.template, 1)
        row.addWidget(reload)
        rows.addLayout(row)
        frame.hide()
        return frame

    @Slot()
    def _choose_template(self) -> None:
        self.template_chosen.emit(self.template.currentText())

    def _take_file(self, attachment: Attachment) -> None:
        self.attachments += (attachment,)
        self._show_chips()

    @Slot(str)
    def _take_paste(self, text: str) -> None:
        self._take_file(Attachment("Pasted text", text))

    def _show_chips(self) -> None:
        while (item := self._chip_rows.takeAt(0)) is not None:
            if (part := item.widget()) is not None:
                part.hide()
                part.deleteLater()
        for attachment in self.attachments:
            self._chip_rows.addWidget(self._chip(attachment))
        self._chips.setVisible(bool(self.attachments))
        self.changed.emit()

    def _chip(self, attachment: Attachment) -> QFrame:
        chip = named(QFrame(), "inset")
        row = QHBoxLayout(chip)
        row.setContentsMargins(10, 2, 4, 2)
        size = f"{len(attachment.text):,}".replace(",", " ")
        row.addWidget(label(f"{attachment.name} · {size} characters", "muted"), 1)
        away = button(CLOSE, "fold", f"Do not send {attachment.name}")
        away.setAccessibleName(f"Do not send {attachment.name}")
        away.setFixedSize(24, 24)
        away.clicked.connect(functools.partial(self._take_away, attachment))
        row.addWidget(away)
        return chip

    def _take_away(self, attachment: Attachment) -> None:
        self.attachments = tuple(kept for kept in self.attachments if kept is not attachment)
        self._show_chips()

    @Slot(bool)
    def _show_focus(self, focused: bool) -> None:
        self._box.setProperty("focused", focused)
        self._box.style().unpolish(self._box)
        self._box.style().polish(self._box)
