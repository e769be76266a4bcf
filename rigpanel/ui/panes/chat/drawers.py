# SPDX-License-Identifier: MIT
"""The two drawers: conversations on the left, options on the right; made when first opened."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from rigpanel.engine.messages import LoadedModel, Sampling, WhenFull
from rigpanel.ui.panes.chat.session import ChatSession
from rigpanel.ui.panes.chat.shelf import Shelf
from rigpanel.ui.widgets import named

if TYPE_CHECKING:
    from rigpanel.ui.panes.chat.conversations import ConversationList
    from rigpanel.ui.panes.chat.options import ChatOptions

DRAWER_PX = 264
SIDE_BY_SIDE_FROM_PX = 640
"""Where the pane is narrower, an open drawer takes the place of the chat."""
NO_LIMIT_PX = 16777215
"""Qt's own greatest width."""


class Drawers(QWidget):
    """Lays the chat out between what is open beside it."""

    open_requested = Signal(int)
    new_requested = Signal()
    deleted = Signal(int)
    renamed = Signal(int, str)
    choices_changed = Signal()
    """Sampling, or what happens when the context is full."""
    folded = Signal()

    def __init__(
        self,
        chat: QWidget,
        session: ChatSession,
        shelf: Shelf | None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._chat = chat
        self._session = session
        self._shelf = shelf
        self._list: ConversationList | None = None
        self._options: ChatOptions | None = None
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self._row.addWidget(chat, 1)

    @property
    def any_open(self) -> bool:
        """Whether one of them is open."""
        return any(not drawer.isHidden() for drawer in self._made())

    @Slot()
    def toggle_list(self) -> None:
        """Open the conversations, or fold them away."""
        if self._shelf is None:
            return
        if self._list is None:
            self._list = self._make_list(self._shelf)
        if self._toggle(self._list):
            self._list.refresh()
            self._list.search.setFocus()

    @Slot()
    def toggle_options(self) -> None:
        """Open the options, or fold them away."""
        if self._options is None:
            self._options = self._make_options()
        if self._toggle(self._options):
            self._options.system.setFocus()

    def fold(self) -> None:
        """Fold both away."""
        for drawer in self._made():
            drawer.hide()
        self.place()

    def place(self) -> None:
        """Put what is open beside the chat, or in its place where there is no room."""
        narrow = self.width() < SIDE_BY_SIDE_FROM_PX
        for drawer in self._made():
            drawer.setMinimumWidth(0 if narrow else DRAWER_PX)
            drawer.setMaximumWidth(NO_LIMIT_PX if narrow else DRAWER_PX)
        self._chat.setVisible(not (narrow and self.any_open))

    def show_talk(self) -> None:
        """Show which conversation is open, and its system prompt."""
        if self._options is not None:
            self._options.show_system(self._session.talk.system)
        if self._list is not None:
            self._list.set_current(self._session.talk.stored)

    def show_model(self, model: LoadedModel | None) -> None:
        """Show whose chat template is in use."""
        if self._options is not None:
            self._options.show_model(model)

    def _made(self) -> list[QFrame]:
        return [drawer for drawer in (self._list, self._options) if drawer is not None]

    def _toggle(self, drawer: QFrame) -> bool:
        opened = drawer.isHidden()
        if self.width() < SIDE_BY_SIDE_FROM_PX + DRAWER_PX:
            for other in self._made():
                other.hide()
        drawer.setVisible(opened)
        self.place()
        if not opened:
            self.folded.emit()
        return opened

    def _make_list(self, shelf: Shelf) -> "ConversationList":
        from rigpanel.ui.panes.chat.conversations import ConversationList

        made = named(ConversationList(shelf.conversations), "drawer_left")
        made.hide()
        made.set_current(self._session.talk.stored)
        made.open_requested.connect(self.open_requested)
        made.new_requested.connect(self.new_requested)
        made.close_requested.connect(self.toggle_list)
        made.deleted.connect(self.deleted)
        made.renamed.connect(self.renamed)
        self._session.list_changed.connect(made.refresh_soon)
        self._row.insertWidget(0, made)
        return made

    def _make_options(self) -> "ChatOptions":
        from rigpanel.ui.panes.chat.options import ChatOptions

        session = self._session
        made = named(ChatOptions(self._shelf.presets if self._shelf else None), "drawer_right")
        made.hide()
        made.show_choices(session.sampling, session.when_full)
        made.show_system(session.talk.system)
        made.show_model(session.model)
        made.system_changed.connect(session.set_system)
        made.sampling_changed.connect(self._take_sampling)
        made.when_full_changed.connect(self._take_when_full)
        made.close_requested.connect(self.toggle_options)
        self._row.addWidget(made)
        return made

    @Slot(object)
    def _take_sampling(self, sampling: Sampling) -> None:
        self._session.sampling = sampling
        self.choices_changed.emit()

    @Slot(object)
    def _take_when_full(self, choice: WhenFull) -> None:
        self._session.when_full = choice
        self.choices_changed.emit()
