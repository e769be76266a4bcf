# SPDX-License-Identifier: MIT
"""The chat pane: what was said, a streamed reply with its figures, and where to write."""

import logging
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import QWidget

from rigpanel import paths
from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.chat.drawers import Drawers
from rigpanel.ui.panes.chat.find_bar import FindBar
from rigpanel.ui.panes.chat.foot import ChatFoot, Draft
from rigpanel.ui.panes.chat.head import ChatHead
from rigpanel.ui.panes.chat.kept import MOST_DRAFT_CHARS, KeptChat, read_kept, write_kept
from rigpanel.ui.panes.chat.session import ChatSession
from rigpanel.ui.panes.chat.shelf import Shelf
from rigpanel.ui.panes.chat.transcript import COLUMN_PX, Transcript
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import centred, column, label

if TYPE_CHECKING:
    from rigpanel.ui.markdown_look import Look
    from rigpanel.ui.panes.chat.message_view import MessageView

KEEP_MS = 500
KEPT_FILE = "chat.json"

log = logging.getLogger(__name__)


class ChatPane(QWidget):
    """One conversation with the loaded model, the list of them all and the options."""

    load_requested = Signal()
    """Load what the loader has chosen: there is no earlier load to repeat."""

    def __init__(
        self,
        engine: EngineBridge,
        watch: WatchBridge,
        theme: Theme,
        shelf: Shelf | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._theme = theme
        self._shelf = shelf
        self._look: Look | None = None
        self._send_next = False
        self._editing: int | None = None
        self._aside = Draft()
        """What was being written when an edit began."""
        self._kept_path = paths.data_dir() / KEPT_FILE
        self._kept = read_kept(self._kept_path)
        store = None if shelf is None else shelf.conversations
        self.session = ChatSession(engine, watch, store, self)
        self.session.sampling = self._kept.sampling
        self.session.when_full = self._kept.when_full
        self._keep_soon = QTimer(self)
        self._keep_soon.setSingleShot(True)
        self._keep_soon.setInterval(KEEP_MS)
        self._keep_soon.timeout.connect(self._keep)
        self.setAcceptDrops(True)
        self._build()
        self._connect()
        self.composer.write(self._kept.draft)
        if self._kept.conversation is not None:
            self.session.open(self._kept.conversation)
        self._show_path()
        self._take_status(engine.status)

    @property
    def views(self) -> "list[MessageView]":
        """The messages that are laid out, oldest first."""
        return self.transcript.views

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self._look = None
        self.head.meter.set_theme(theme)
        for view in self.views:
            view.set_look(self._current_look())
        self.find_bar.set_theme(theme)

    @Slot()
    def focus_composer(self) -> None:
        """Put the cursor where a message is written."""
        if self._chat.isHidden():
            self.drawers.fold()
        self.composer.setFocus()

    @Slot()
    def send(self) -> None:
        """Send what is written; the reply streams in below."""
        text = self.foot.text()
        if not text or self._engine.status.state is not EngineState.READY:
            return
        if self.session.replying:
            self._send_next = True  # the last reply's figures are still on their way
            return
        self.foot.go_on()
        if self._editing is None:
            self.session.send(text)
        else:
            self.session.edit(self._editing, text)
            self._leave_edit()

    @Slot()
    def new_chat(self) -> None:
        """Begin anew; a reply under way is stopped."""
        self._leave_edit()
        self.session.new()
        self.focus_composer()

    @Slot()
    def edit_last(self) -> None:
        """Write the last message of one's own anew."""
        own = [said.key for said in self.session.talk.path() if said.role == "user"]
        if own:
            self.edit(own[-1])

    @Slot(int)
    def edit(self, key: int) -> None:
        """Write a message of one's own anew; sent, it is a branch beside the old."""
        if self.session.replying:
            return
        if self._editing is None:
            self._aside = self.foot.draft()
        self._editing = key
        self.foot.editing.show()
        self.foot.go_on(Draft(self.session.talk.said[key].text))
        self.composer.setFocus()

    @Slot()
    def open_find(self) -> None:
        """Open the find bar (Ctrl+F)."""
        self.find_bar.open_on(self.session.talk.path())

    @Slot()
    def copy_last_reply(self) -> None:
        """Put the last reply on the clipboard, as far as it has come (Ctrl+Shift+C)."""
        replies = [said for said in self.session.talk.path() if said.role == "assistant"]
        if replies:
            QGuiApplication.clipboard().setText(replies[-1].text)

    def tell(self, sentence: str) -> None:
        """Say what is wrong with what is kept."""
        self.foot.tell(sentence)

    @property
    def saved(self) -> bool:
        """Whether everything has been brought to disk."""
        return self.session.kept

    def keep_now(self) -> None:
        """Bring draft and choices to disk before the panel ends."""
        self._keep()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc stops a reply wherever in the chat the focus is, or closes what is open."""
        if event.key() == Qt.Key.Key_Escape:
            self._escape()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files of this machine."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Send dropped files along."""
        event.acceptProposedAction()
        self.foot.attach([u.toLocalFile() for u in event.mimeData().urls() if u.isLocalFile()])

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put drawers beside the chat, or in its place."""
        super().resizeEvent(event)
        self.drawers.place()

    def _build(self) -> None:
        self.head = ChatHead(self._theme)
        self.transcript = Transcript(self._make_view, self._guess_height)
        self.find_bar = FindBar(self.transcript, self._theme)
        self.foot = ChatFoot()
        self.composer = self.foot.composer
        self.send_button, self.stop_button = self.foot.send_button, self.foot.stop_button
        self.new_button = self.head.new_button
        self.problem = self.foot.trouble
        self._calm = QWidget()
        calm = column(margins=(16, 0, 16, 0), spacing=8)
        self._calm.setLayout(calm)
        self.empty_title, self.empty_hint = label("", "title"), label("", "empty")
        calm.addStretch(2)
        for part in (self.empty_title, self.empty_hint):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            calm.addWidget(part)
        calm.addStretch(3)
        self._chat = QWidget()
        rows = column(spacing=4)
        self._chat.setLayout(rows)
        rows.addWidget(centred(self.head, COLUMN_PX))
        rows.addWidget(centred(self.find_bar, COLUMN_PX))
        rows.addWidget(self._calm, 1)
        rows.addWidget(self.transcript, 1)
        rows.addWidget(centred(self.foot, COLUMN_PX))
        self.drawers = Drawers(self._chat, self.session, self._shelf)
        whole = column()
        self.setLayout(whole)
        whole.addWidget(self.drawers)

    def _connect(self) -> None:
        session, engine = self.session, self._engine
        session.path_changed.connect(self._show_path)
        session.said_added.connect(self._take_added)
        session.said_changed.connect(self._take_changed)
        session.used_changed.connect(self.head.meter.set_used)
        session.reply_ended.connect(self._end_reply)
        session.store_failed.connect(self.foot.tell_of_disk)
        session.open_failed.connect(self.foot.tell)
        engine.status_changed.connect(self._take_status)
        self.drawers.open_requested.connect(self._open)
        self.drawers.new_requested.connect(self.new_chat)
        self.drawers.deleted.connect(self._take_deleted)
        self.drawers.renamed.connect(self._take_renamed)
        self.drawers.choices_changed.connect(self._keep_soon.start)
        self.drawers.folded.connect(self.focus_composer)
        self.head.list_button.clicked.connect(self.drawers.toggle_list)
        self.head.list_button.setVisible(self._shelf is not None)
        self.head.options_button.clicked.connect(self.drawers.toggle_options)
        self.head.new_button.clicked.connect(self.new_chat)
        self.head.title_written.connect(self._rename)
        self.head.rename_ended.connect(self.focus_composer)
        self.foot.send_requested.connect(self.send)
        self.foot.stop_requested.connect(self._escape)
        self.foot.changed.connect(self._take_draft)
        self.foot.edit_given_up.connect(self._give_up_edit)
        self.foot.template_chosen.connect(session.load_with_template)
        self.composer.edit_requested.connect(self.edit_last)
        self.foot.trouble.reload_requested.connect(self._reload)
        self.find_bar.closed.connect(self.focus_composer)
        for keys, where, slot in (
            ("Ctrl+F", self, self.open_find),
            ("Ctrl+H", self, self.drawers.toggle_list),
            ("Ctrl+,", self, self.drawers.toggle_options),
            ("F2", self._chat, self._begin_rename),  # in the list of conversations it has its own
        ):
            made = QShortcut(QKeySequence(keys), where)
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            made.activated.connect(slot)

    def _current_look(self) -> "Look":
        if self._look is None:
            from rigpanel.ui.markdown_look import Look  # not before there is something to draw

            self._look = Look(self._theme)
        return self._look

    def _make_view(self, key: int) -> "MessageView":
        from rigpanel.ui.panes.chat.message_view import MessageView

        view = MessageView(self.session.talk.said[key], self._current_look())
        beside = self.session.talk.siblings(key)
        view.set_branches(beside.index(key), len(beside))
        view.edit_requested.connect(self.edit)
        view.again_requested.connect(self.session.regenerate)
        view.branch_requested.connect(self.session.choose)
        return view

    def _guess_height(self, key: int, width: int) -> int:
        said = self.session.talk.said[key]
        lines = len(said.text) * 7 // max(width - 24, 1) + said.text.count("\n") + 1
        return 56 + 20 * lines

    @Slot()
    def _escape(self) -> None:
        if self._engine.status.state is EngineState.GENERATING:
            self.session.stop()
        elif self._editing is not None:
            self._give_up_edit()
        elif self.find_bar.isVisible():
            self.find_bar.close_bar()
        elif self.drawers.any_open:
            self.drawers.fold()
            self.composer.setFocus()

    @Slot()
    def _give_up_edit(self) -> None:
        self._leave_edit()
        self.composer.setFocus()

    def _leave_edit(self) -> None:
        """Go on with what was being written before the edit."""
        if self._editing is not None:
            self._editing = None
            self.foot.editing.hide()
            self.foot.go_on(self._aside)

    @Slot()
    def _reload(self) -> None:
        if not self.session.reload():
            self.load_requested.emit()

    @Slot(int)
    def _open(self, conversation: int) -> None:
        self._leave_edit()
        self.session.open(conversation)
        self.focus_composer()

    @Slot(int)
    def _take_deleted(self, conversation: int) -> None:
        if conversation == self.session.talk.stored:
            self.session.new()

    @Slot(int, str)
    def _take_renamed(self, conversation: int, title: str) -> None:
        if conversation == self.session.talk.stored:
            self.session.talk.title = title
            self.head.show_title(title)

    @Slot()
    def _begin_rename(self) -> None:
        if self.session.talk.stored is not None:
            self.head.rename()

    @Slot(str)
    def _rename(self, title: str) -> None:
        self.session.rename(title)
        self.head.show_title(title)

    @Slot()
    def _show_path(self) -> None:
        talk = self.session.talk
        path = talk.path()
        self.transcript.forget()
        self._enable()  # before anything is laid out, so that its width is known
        self.transcript.show_messages([said.key for said in path])
        self.find_bar.set_path(path)
        self.head.show_title(talk.title)
        self.drawers.show_talk()
        self._keep_soon.start()

    @Slot(int)
    def _take_added(self, key: int) -> None:
        talk = self.session.talk
        if talk.said[key].parent == self.transcript.last:
            self.transcript.add(key)
            self.head.show_title(talk.title)
            self._enable()
        else:
            self._show_path()

    @Slot(int)
    def _take_changed(self, key: int) -> None:
        view = self.transcript.view(key)
        if view is None:
            self.transcript.refit(key)
        else:
            view.take()
            self.transcript.refit_now(key)

    @Slot()
    def _end_reply(self) -> None:
        self._enable()
        self._keep_soon.start()
        if self._send_next:
            self._send_next = False
            self.send()

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        self.foot.trouble.show_status(status)
        self.foot.no_template.setVisible(status.model is not None and not status.model.template)
        self.head.meter.set_size(None if status.model is None else status.model.n_ctx)
        self.head.show_model(status.model)
        self.drawers.show_model(status.model)
        self._enable()

    @Slot()
    def _take_draft(self) -> None:
        self._keep_soon.start()
        self._enable()

    @Slot()
    def _keep(self) -> None:
        self._keep_soon.stop()
        draft = (self.foot.draft() if self._editing is None else self._aside).text
        kept = KeptChat(
            draft if len(draft) <= MOST_DRAFT_CHARS else "",
            self.session.talk.stored,
            self.session.sampling,
            self.session.when_full,
        )
        if kept == self._kept:
            return
        try:
            write_kept(self._kept_path, kept)
        except OSError as error:
            log.warning("the chat's draft was not kept in %s: %s", self._kept_path, error)
        else:
            self._kept = kept

    @Slot()
    def _enable(self) -> None:
        state = self._engine.status.state
        ready, busy = state is EngineState.READY, state is EngineState.GENERATING
        written = bool(self.foot.attachments) or bool(self.composer.toPlainText().strip())
        self.send_button.setEnabled(ready and written)
        self.send_button.setVisible(not busy)
        self.stop_button.setVisible(busy)
        empty = not self.session.talk.said
        self._calm.setVisible(empty)
        self.transcript.setVisible(not empty)
        self.new_button.setEnabled(not empty)
        if ready or busy:
            model = self.session.model
            name = model.name if model else "The model"
            self._invite(f"{name} is ready", "Ask it something below.", "Write a message")
        elif state is EngineState.LOADING:
            hint = "You can write already, and send once it is loaded."
            self._invite("Loading the model …", hint, "Write a message")
        else:
            hint = "Choose a GGUF file in the loader or press Ctrl+O, then load it."
            self._invite("No model is loaded", hint, "Load a model first")

    def _invite(self, title: str, hint: str, placeholder: str) -> None:
        self.empty_title.setText(title)
        self.empty_hint.setText(hint)
        self.composer.invite(placeholder)
