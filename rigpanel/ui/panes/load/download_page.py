# SPDX-License-Identifier: MIT
"""The page that fetches models: search or paste a repository, choose a quantization, watch it."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem

from rigpanel.library.download import RemoteModel
from rigpanel.ui import words
from rigpanel.ui.panes.load.download_row import DownloadRow
from rigpanel.ui.panes.load.download_work import (
    DownloadWork,
    Ended,
    Listed,
    Progress,
    TokenTold,
)
from rigpanel.ui.panes.load.laid_over import Ground
from rigpanel.ui.panes.load.outside import MakeHub
from rigpanel.ui.panes.load.page import ENTER, Page
from rigpanel.ui.panes.load.token_row import TokenRow
from rigpanel.ui.widgets import button, column, label, named

WHAT = Qt.ItemDataRole.UserRole
OVERHEAD_MIB = 1024.0
"""What a short conversation takes beside the weights, roughly; the loader reckons it exactly."""
HINT = "Paste OWNER/NAME or a page's address, or search for words."


def by_size(size_mib: float, ground: Ground | None) -> str:
    """Return how a model of this size goes with the rig: all that is known before its header."""
    if ground is None:
        return ""
    needed = size_mib + OVERHEAD_MIB
    on_cards = sum(device.usable_mib for device in ground.devices)
    if ground.devices and needed <= on_cards:
        return "fits, by its size"
    if needed <= on_cards + (ground.host_free_mib or 0.0):
        return "partly on CPU, by its size" if ground.devices else "fits, by its size"
    return "too large, by its size"


class DownloadPage(Page):
    """Downloads go on while the page is not shown."""

    chosen = Signal(str)
    """Path of a fetched model that is to be used."""
    fetched = Signal()
    """There is a model more on this machine."""

    def __init__(self, make_hub: MakeHub) -> None:
        super().__init__("Fetch a model", "Back (Esc); downloads go on")
        self._ground: Ground | None = None
        self._work = DownloadWork(make_hub, self)
        self.downloads: dict[RemoteModel, DownloadRow] = {}
        self._build()
        self._work.listed.connect(self._take_listed)
        self._work.progressed.connect(self._take_progress)
        self._work.ended.connect(self._take_end)
        self._work.token_told.connect(self._take_token)
        self.token.keep_requested.connect(self._work.keep_token)
        self.token.forget_requested.connect(self._work.forget_token)
        self._work.tell_token()

    def _build(self) -> None:
        rows = self.column
        line = QHBoxLayout()
        line.setSpacing(8)
        self.text = QLineEdit(placeholderText="Repository or words")
        self.text.setAccessibleName("Repository, or words to search for")
        self.text.returnPressed.connect(self._ask)
        line.addWidget(self.text, 1)
        self.search = button("Search", "", "Ask Hugging Face, or the server HF_ENDPOINT names")
        self.search.clicked.connect(self._ask)
        line.addWidget(self.search)
        rows.addLayout(line)
        self.says = label(HINT, "muted")
        rows.addWidget(self.says)
        self.list = named(QListWidget(), "conversations")
        self.list.setAccessibleName("What was found")
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._choose)
        rows.addWidget(self.list, 1)
        self.token = TokenRow()
        rows.addWidget(self.token)
        self._rows = column(spacing=6)
        rows.addLayout(self._rows)

    def set_ground(self, ground: Ground) -> None:
        """Take what models are to fit on."""
        self._ground = ground

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose with Enter in the list."""
        if event.key() in ENTER and self.list.hasFocus():
            item = self.list.currentItem()
            if item is not None:
                self._choose(item)
        else:
            super().keyPressEvent(event)

    @Slot()
    def _ask(self) -> None:
        if self.text.text().strip():
            self.list.clear()
            self.says.setText("Asking …")
            self._work.ask(self.text.text())

    @Slot(object)
    def _take_listed(self, listed: Listed) -> None:
        self.list.clear()
        if listed.problem:
            self.says.setText(listed.problem)
        elif listed.repo:
            self.says.setText(
                f"{listed.repo}: choose a quantization."
                if listed.models
                else f"{listed.repo} holds no GGUF file."
            )
        else:
            found = len(listed.repos)
            self.says.setText("Choose a repository." if found else "Nothing was found.")
        for repo in listed.repos:
            self._add(repo, repo)
        for model in listed.models:
            fit = by_size(model.size_mib, self._ground)
            about = " · ".join(filter(None, (words.file_size(model.size_mib), fit)))
            self._add(f"{model.name}\n{about}", model)

    def _add(self, text: str, what: str | RemoteModel) -> None:
        item = QListWidgetItem(text)
        item.setData(WHAT, what)
        item.setToolTip(text)
        self.list.addItem(item)

    @Slot(QListWidgetItem)
    def _choose(self, item: QListWidgetItem) -> None:
        what = item.data(WHAT)
        if isinstance(what, str):
            self.text.setText(what)
            self._ask()
        elif what not in self.downloads:
            self._begin(what)

    def _begin(self, model: RemoteModel) -> None:
        row = self.downloads[model] = DownloadRow(model)
        row.wanted.connect(self._work.fetch)
        row.stop_requested.connect(self._work.stop)
        row.forget_requested.connect(self._forget)
        row.use_requested.connect(self.chosen)
        self._rows.addWidget(row)
        self._work.fetch(model)

    @Slot(object)
    def _forget(self, model: RemoteModel) -> None:
        row = self.downloads.pop(model)
        self._rows.removeWidget(row)
        row.hide()
        row.deleteLater()
        if not row.fetched:
            self._work.forget(model)

    @Slot(object)
    def _take_token(self, told: TokenTold) -> None:
        self.token.take(told)

    @Slot(object)
    def _take_progress(self, progress: Progress) -> None:
        if progress.model in self.downloads:
            self.downloads[progress.model].take_progress(progress)

    @Slot(object)
    def _take_end(self, ended: Ended) -> None:
        if ended.model in self.downloads:
            self.downloads[ended.model].take_end(ended)
        if ended.path:
            self.fetched.emit()
