# SPDX-License-Identifier: MIT
"""Above the transcript: what is talked about, how full the context is, and the two drawers."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QStackedWidget, QWidget

from rigpanel.engine.messages import LoadedModel
from rigpanel.ui.panes.chat.context_meter import ContextMeter
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import button, named, shrinkable


class _Title(QLabel):
    """A title that ends in dots where there is no room."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)

    def set_title(self, title: str) -> None:
        self._whole = title
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        cut = self.fontMetrics().elidedText(
            self._whole, Qt.TextElideMode.ElideRight, max(self.width(), 40)
        )
        if cut != self.text():
            self.setText(cut)


class ChatHead(QWidget):
    """One line; the title can be written anew in its place."""

    title_written = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 8, 10, 0)
        row.setSpacing(6)
        self.list_button = self._sign("☰", "Conversations (Ctrl+H)")
        self._title = shrinkable(named(_Title(), "title"))
        self._line = QLineEdit()
        self._line.setAccessibleName("Title")
        self._line.setMaxLength(200)
        self._line.editingFinished.connect(self._end_rename)
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
        self._title.set_title(title or "New chat")
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

    def _end_rename(self) -> None:
        if self._places.currentWidget() is self._line:
            self._places.setCurrentWidget(self._title)
            title = self._line.text().strip()
            if title:
                self.title_written.emit(title)

    def _sign(self, sign: str, tip: str) -> QPushButton:
        made = button(sign, "fold", tip)
        made.setAccessibleName(tip.partition(" (")[0])
        made.setFixedSize(28, 28)
        return made
