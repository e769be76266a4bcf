# SPDX-License-Identifier: MIT
"""The drawer of conversations: search, open, rename, delete with undo, export and import."""

import time
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from rigpanel.chat.conversation import ConversationInfo
from rigpanel.chat.store import ConversationStore
from rigpanel.errors import RigpanelError
from rigpanel.settings import write_atomically
from rigpanel.ui.answers import Answers
from rigpanel.ui.widgets import button, column, label, named, rename

UNDO_MS = 8000
SEARCH_MS = 120
MOST_IMPORT_MIB = 256
ID = Qt.ItemDataRole.UserRole
_JSON, _MARKDOWN = "JSON, every branch (*.json)", "Markdown, the branch shown (*.md)"


class ConversationList(QFrame):
    """Conversations on disk, newest first."""

    open_requested = Signal(int)
    new_requested = Signal()
    deleted = Signal(int)
    renamed = Signal(int, str)
    close_requested = Signal()

    def __init__(self, store: ConversationStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._answers = Answers(self)
        self._current: int | None = None
        self._deleted: int | None = None
        self._asked = 0
        self._filling = False
        self._build()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SEARCH_MS)
        self._soon.timeout.connect(self.refresh)
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.setInterval(UNDO_MS)
        self._forget.timeout.connect(self._hide_undo)

    def set_current(self, conversation: int | None) -> None:
        """Mark the conversation that is open."""
        self._current = conversation
        self._mark(conversation)

    @Slot()
    def refresh(self) -> None:
        """Ask the file what there is; not while a title is being written."""
        if self._renaming:
            self._soon.start()
            return
        self._asked += 1
        asked = self._asked

        def take(found: tuple[ConversationInfo, ...]) -> None:
            if asked != self._asked:
                return  # another search has been begun since
            if self._renaming:
                self._soon.start()
            else:
                self._fill(found)

        self._answers.bring(self._store.list(self.search.text()), take, self._tell)

    @Slot()
    def refresh_soon(self) -> None:
        """Ask the file again in a moment, once for several changes."""
        if self.isVisible():
            self._soon.start()

    @Slot()
    def rename_current(self) -> None:
        """Write another title where the old one stands (F2)."""
        item = self.list.currentItem()
        if item is not None:
            self.list.editItem(item)

    def delete_id(self, conversation: int) -> None:
        """Take a conversation away; it can be had back for some seconds here."""

        def done(_: object) -> None:
            self._deleted = conversation
            self._undo_row.show()
            self._forget.start()
            self.deleted.emit(conversation)
            self.refresh()

        self._answers.bring(self._store.delete(conversation), done, self._tell)

    @Slot()
    def undo(self) -> None:
        """Bring back what was deleted last."""
        if self._deleted is None:
            return
        gone = self._deleted
        self._hide_undo()
        self._answers.bring(self._store.restore(gone), lambda _: self.refresh(), self._tell)

    def export(self, conversation: int, path: Path) -> None:
        """Write a conversation to a file: Markdown where its name ends so, else JSON."""
        text = (
            self._store.export_markdown(conversation)
            if path.suffix.lower() == ".md"
            else self._store.export_json(conversation)
        )

        def write(content: str) -> None:
            self._answers.run(
                lambda: _write(path, content),
                lambda _: self._tell(f"Written to {path}.", error=False),
                self._tell,
            )

        self._answers.bring(text, write, self._tell)

    def import_file(self, path: Path) -> None:
        """Add a conversation from a file that was exported as JSON, and open it."""

        def done(info: ConversationInfo) -> None:
            self._tell("")
            self.refresh()
            self.open_requested.emit(info.id)

        def store(text: str) -> None:
            self._answers.bring(self._store.import_json(text), done, self._tell)

        self._answers.run(lambda: _read(path), store, self._tell)

    def _build(self) -> None:
        rows = column(margins=(12, 10, 12, 12), spacing=8)
        self.setLayout(rows)
        head = QHBoxLayout()
        head.addWidget(label("Conversations", "title"), 1)
        close = button("«", "fold", "Fold the conversations away (Ctrl+H)")
        close.setAccessibleName("Fold the conversations away")
        close.setFixedSize(28, 28)
        close.clicked.connect(self.close_requested)
        head.addWidget(close)
        rows.addLayout(head)
        self._build_list(rows)
        self._build_foot(rows)

    def _build_list(self, rows: QVBoxLayout) -> None:
        self.search = QLineEdit(placeholderText="Search titles and texts")
        self.search.setAccessibleName("Search conversations")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._search_soon)
        rows.addWidget(self.search)
        self.list = named(QListWidget(), "conversations")
        self.list.setAccessibleName("Conversations")
        self.list.setToolTip("Enter opens, F2 renames, Delete deletes")
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setUniformItemSizes(True)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._open_menu)
        self.list.itemClicked.connect(self._open)
        self.list.itemActivated.connect(self._open)
        self.list.itemChanged.connect(self._take_edit)
        rows.addWidget(self.list, 1)
        self.none = label("", "muted")
        rows.addWidget(self.none)
        self._add_actions()

    def _build_foot(self, rows: QVBoxLayout) -> None:
        self._undo_row = QFrame()
        undo_row = QHBoxLayout(self._undo_row)
        undo_row.setContentsMargins(0, 0, 0, 0)
        undo_row.addWidget(label("Deleted.", "muted"), 1)
        self.undo_button = button("Undo", "link", "Bring it back")
        self.undo_button.clicked.connect(self.undo)
        undo_row.addWidget(self.undo_button)
        self._undo_row.hide()
        rows.addWidget(self._undo_row)
        self.told = label("", "muted")
        self.told.hide()
        rows.addWidget(self.told)
        foot = QHBoxLayout()
        new = button("New chat", "", "Begin anew (Ctrl+N)")
        new.clicked.connect(self.new_requested)
        bring = button("Import…", "", "Add a conversation from a file exported as JSON")
        bring.clicked.connect(self._choose_import)
        foot.addWidget(new, 1)
        foot.addWidget(bring)
        rows.addLayout(foot)

    def _add_actions(self) -> None:
        self._menu = QMenu(self)
        for text, keys, slot in (
            ("Rename", "F2", self.rename_current),
            ("Export…", "", self._choose_export),
            ("Delete", "Del", self._delete_current),
        ):
            action = QAction(text, self.list)
            if keys:
                action.setShortcut(QKeySequence(keys))
                action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            action.triggered.connect(slot)
            self.list.addAction(action)
            self._menu.addAction(action)

    @property
    def _renaming(self) -> bool:
        return self.list.state() is QAbstractItemView.State.EditingState

    def _fill(self, found: tuple[ConversationInfo, ...]) -> None:
        """List what was found; what the reader has chosen stays chosen."""
        chosen = self._chosen()
        self._filling = True
        self.list.clear()
        for info in found:
            item = QListWidgetItem(info.title or "Without a title")
            item.setData(ID, info.id)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.updated_s))
            model = f"\n{info.model}" if info.model else ""
            item.setToolTip(f"{info.title}\n{when} · {info.n_messages} messages{model}")
            self.list.addItem(item)
        self._filling = False
        searched = bool(self.search.text().strip())
        nothing = "Nothing found." if searched else "What you write is kept here."
        self.none.setText(nothing)
        self.none.setVisible(not found)
        self._mark(self._current if chosen is None else chosen)

    def _mark(self, conversation: int | None) -> None:
        rows = range(self.list.count())
        ids = [self.list.item(row).data(ID) for row in rows]
        self.list.setCurrentRow(ids.index(conversation) if conversation in ids else -1)

    def _chosen(self) -> int | None:
        item = self.list.currentItem()
        return None if item is None else int(item.data(ID))

    @Slot(QListWidgetItem)
    def _open(self, item: QListWidgetItem) -> None:
        self.open_requested.emit(int(item.data(ID)))

    @Slot(QListWidgetItem)
    def _take_edit(self, item: QListWidgetItem) -> None:
        if self._filling:
            return
        conversation, title = int(item.data(ID)), item.text().strip()
        if title:
            self.renamed.emit(conversation, title)
            self._answers.bring(
                self._store.rename(conversation, title), lambda _: self.refresh(), self._tell
            )
        else:
            self.refresh()

    @Slot(QPoint)
    def _open_menu(self, at: QPoint) -> None:
        if self.list.itemAt(at) is not None:
            self._menu.popup(self.list.viewport().mapToGlobal(at))

    @Slot()
    def _delete_current(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self.delete_id(chosen)

    @Slot()
    def _choose_export(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            return
        start = str(Path.home() / "conversation.md")
        path, kind = QFileDialog.getSaveFileName(
            self, "Export the conversation", start, f"{_MARKDOWN};;{_JSON}"
        )
        if path:
            ending = ".json" if kind == _JSON else ".md"
            to = Path(path)
            self.export(
                chosen, to if to.suffix.lower() in (".md", ".json") else Path(path + ending)
            )

    @Slot()
    def _choose_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import a conversation", str(Path.home()), "JSON (*.json);;All files (*)"
        )
        if path:
            self.import_file(Path(path))

    @Slot()
    def _search_soon(self) -> None:
        self._soon.start()

    @Slot()
    def _hide_undo(self) -> None:
        self._deleted = None
        self._undo_row.hide()

    def _tell(self, sentence: str, *, error: bool = True) -> None:
        rename(self.told, "error" if error else "muted")
        self.told.setText(sentence)
        self.told.setVisible(bool(sentence))


def _write(path: Path, content: str) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise RigpanelError(
            f"{path} cannot be written ({error.strerror}). Choose another place."
        ) from error


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_IMPORT_MIB * 2**20:
            raise RigpanelError(
                f"{path.name} is larger than {MOST_IMPORT_MIB} MiB: it was not read."
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RigpanelError(
            f"{path.name} cannot be read ({error}). Choose a file exported as JSON."
        ) from error
