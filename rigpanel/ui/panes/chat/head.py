# SPDX-License-Identifier: MIT
"""Above the transcript: what is talked about, how full the context is, and the two drawers."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QStackedWidget, QWidget

from rigpanel.engine.messages import LoadedModel
from rigpanel.ui.panes.chat.context_meter import ContextMeter
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import ElidedLabel, button, named, shrinkable


class _TitleLine(QLineEdit):
    """Where a title is written anew; Esc gives it up."""

    given_up = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.given_up.emit()
        else:
            super().keyPressEvent(event)


class ChatHead(QWidget):
    """One line; the title can be written anew in its place."""

    title_written = Signal(str)
    rename_ended = Signal()
    """The title is written, or stays: the keys may go elsewhere."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 8, 10, 0)
        row.setSpacing(6)
        self.list_button = self._sign("☰", "Conversations (Ctrl+H)")
        self._title = shrinkable(named(ElidedLabel(), "title"))
        self._line = _TitleLine()
        self._line.setAccessibleName("Title")
        self._line.setMaxLength(200)
        self._line.editingFinished.connect(self._take_title)
        self._line.returnPressed.connect(self.rename_ended)
        self._line.given_up.connect(self._give_up)
        self._places = QStackedWidget()
        self._places.addWidget(self._title)
        self._places.addWidget(self._line)
        self._places.setFixedHeight(30)
        self.meter = ContextMeter(theme)
        self.new_button = self._sign("+", "New chat (Ctrl+N)")
        self.options_button = self._sign("⚙", "Options (Ctrl+,)")
        row.addWidget(self.list_button)
        row.addWidget(self._places, 1)
        for part in (self.meter, self.new_button, self.options_button):
            row.addWidget(part)
        self.show_title("")

    def show_title(self, title: str) -> None:
        """Show what the conversation is called."""
        self._title.setText(title or "New chat")
        self._line.setText(title)

    def show_model(self, model: LoadedModel | None) -> None:
        """Say in the title's tooltip who answers, and by which template."""
        if model is None:
            self._title.setToolTip("Rename (F2)")
            return
        template = {"file": "the model's own", "": "none"}.get(model.template, model.template)
        self._title.setToolTip(f"{model.name}\nChat template: {template}\nRename (F2)")

    def rename(self) -> None:
        """Write another title in place of the old one."""
        self._places.setCurrentWidget(self._line)
        self._line.setFocus()
        self._line.selectAll()

    @Slot()
    def _take_title(self) -> None:
        if self._places.currentWidget() is self._line:
            self._places.setCurrentWidget(self._title)
            title = self._line.text().strip()
            if title:
                self.title_written.emit(title)

    @Slot()
    def _give_up(self) -> None:
        self._line.setText(self._title.text())
        self._places.setCurrentWidget(self._title)
        self.rename_ended.emit()

    def _sign(self, sign: str, tip: str) -> QPushButton:
        made = button(sign, "fold", tip)
        made.setAccessibleName(tip.partition(" (")[0])
        made.setFixedSize(28, 28)
        return made
