# SPDX-License-Identifier: MIT
"""The page of the models on this machine: filter, choose, and add a folder to look in."""

import os
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QLineEdit,
    QListView,
)

from rigpanel.library.discovery import Found, ModelFile
from rigpanel.library.places import folders_in
from rigpanel.settings import LIBRARY_FOLDERS, SettingsError, SettingsStore
from rigpanel.ui.panes.load.laid_over import Ground
from rigpanel.ui.panes.load.library_list import MODEL, ModelDelegate, ModelRows
from rigpanel.ui.panes.load.library_work import Glanced, LibraryWork, Places
from rigpanel.ui.panes.load.page import ENTER, Page
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import button, label, named

MOST_NAMED = 3
"""So many unreadable places are named below the list, the others in the tooltip."""


class LibraryPage(Page):
    """What is there is looked for while the page is shown; nothing runs while it is not."""

    chosen = Signal(str)
    """Path of the model that a person chose."""
    download_requested = Signal()

    def __init__(
        self, settings: SettingsStore, places: Places, cache: Path | None, theme: Theme
    ) -> None:
        super().__init__("Models here", "Back to the loader (Esc)")
        self._settings = settings
        self._n_ctx = 0
        self._ground: Ground | None = None
        self._found: Found | None = None
        self._work = LibraryWork(places, cache, self)
        self.rows = ModelRows()
        self.rows.setParent(self)
        self._delegate = ModelDelegate(theme)
        self._delegate.setParent(self)
        self._build()
        self._work.found.connect(self._take_found)
        self._work.glanced.connect(self._take_glanced)

    def _build(self) -> None:
        rows = self.column
        self.filter = QLineEdit(placeholderText="Filter by name, quantization or source")
        self.filter.setAccessibleName("Filter the models")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._filter)
        self.filter.returnPressed.connect(self._choose_current)
        rows.addWidget(self.filter)
        self.says = label("", "muted")
        rows.addWidget(self.says)
        self.list = named(QListView(), "models")
        self.list.setAccessibleName("Models on this machine")
        self.list.setModel(self.rows)
        self.list.setItemDelegate(self._delegate)
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.clicked.connect(self._choose)
        rows.addWidget(self.list, 1)
        self.unreadable = label("", "muted")
        self.unreadable.hide()
        rows.addWidget(self.unreadable)
        self.problem = label("", "error")
        self.problem.hide()
        rows.addWidget(self.problem)
        self.add_folder_button = button("Look in another folder…", "link", "Add a folder to those")
        self.add_folder_button.clicked.connect(self._choose_folder)
        self.download_button = button("Fetch one from Hugging Face…", "link", "Search and download")
        self.download_button.clicked.connect(self.download_requested)
        for more in (self.add_folder_button, self.download_button):
            rows.addWidget(more, 0, Qt.AlignmentFlag.AlignLeft)

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._delegate.theme = theme
        self.list.viewport().update()

    def set_rig(self, n_ctx: int, ground: Ground) -> None:
        """Take what models are to fit: the context asked for and what they are laid over."""
        self._n_ctx, self._ground = n_ctx, ground
        self._look_at_them()

    def showEvent(self, event: QShowEvent) -> None:
        """Look for models."""
        super().showEvent(event)
        self.says.setText("Looking …" if self._found is None else self.says.text())
        self._work.start()
        self.filter.setFocus()
        self.filter.selectAll()  # another search takes the place of the last

    def hideEvent(self, event: QHideEvent) -> None:
        """Look no more."""
        super().hideEvent(event)
        self._work.stop()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go through the list with the arrows, from the filter too; choose with Enter."""
        if event.key() in {Qt.Key.Key_Down, Qt.Key.Key_Up} and self.filter.hasFocus():
            self._move(1 if event.key() == Qt.Key.Key_Down else -1)
        elif event.key() in ENTER and self.list.hasFocus():
            self._choose_current()
        else:
            super().keyPressEvent(event)

    @Slot()
    def look_now(self) -> None:
        """Look again: there is something new."""
        self._work.look_now()

    def add_folder(self, folder: Path) -> None:
        """Look in this folder too, from now on."""
        known = self._settings.get(LIBRARY_FOLDERS)
        if folder not in folders_in(known):
            try:
                self._settings.set(
                    LIBRARY_FOLDERS, os.pathsep.join(filter(None, (known, str(folder))))
                )
            except SettingsError as error:
                self.problem.setText(str(error))
                self.problem.show()
        self._work.look_now()

    @Slot()
    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Look for models in", str(Path.home()))
        if folder:
            self.add_folder(Path(folder))

    @Slot(object)
    def _take_found(self, found: Found) -> None:
        kept = self.list.currentIndex().data(MODEL)
        self._found = found
        self.rows.show_models(found.models)
        self._follow()
        if kept in self.rows.shown:
            self._select(self.rows.shown.index(kept))
        named_ones = [
            one.why if one.why.startswith(str(one.path)) else f"{one.path}: {one.why}"
            for one in found.unreadable
        ]
        more = len(named_ones) - MOST_NAMED
        shown = named_ones[:MOST_NAMED] + ([f"and {more} more"] if more > 0 else [])
        self.unreadable.setText("Not readable:\n" + "\n".join(shown))
        self.unreadable.setToolTip("\n".join(named_ones))
        self.unreadable.setVisible(bool(named_ones))
        self._look_at_them()

    def _look_at_them(self) -> None:
        if self._found is not None and self._ground is not None and self.isVisible():
            self._work.look_at(self._found.models, self._n_ctx, self._ground)

    @Slot(object)
    def _take_glanced(self, glanced: Glanced) -> None:
        self.rows.take(glanced)

    @Slot(str)
    def _filter(self, text: str) -> None:
        self.rows.set_filter(text)
        self._follow()

    def _follow(self) -> None:
        if self._found is None:
            return
        shown, found = len(self.rows.shown), len(self._found.models)
        if not found:
            self.says.setText("No GGUF model was found. Add the folder where yours are.")
        elif not shown:
            self.says.setText(f"None of {found} holds these words.")
        else:
            context = f", with a context of {self._n_ctx} tokens" if self._n_ctx else ""
            of_all = f"{shown}" if shown == found else f"{shown} of {found}"
            self.says.setText(f"{of_all} found; whether each fits now{context}.")

    def _move(self, by: int) -> None:
        row = self.list.currentIndex().row() + by
        self._select(max(0, min(row, len(self.rows.shown) - 1)))

    def _select(self, row: int) -> None:
        index = self.rows.index(row)
        flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.list.selectionModel().setCurrentIndex(index, flag)
        self.list.scrollTo(index)

    @Slot(QModelIndex)
    def _choose(self, index: QModelIndex) -> None:
        model: ModelFile = index.data(MODEL)
        self.chosen.emit(str(model.path))

    @Slot()
    def _choose_current(self) -> None:
        """Choose the row that is marked, or the only one that the filter leaves."""
        index = self.list.currentIndex()
        if not index.isValid() and len(self.rows.shown) == 1:
            index = self.rows.index(0)
        if index.isValid():
            self._choose(index)
