# SPDX-License-Identifier: MIT
"""Which file is to be loaded: its path, the ways to find one, and what its header says."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from rigpanel import paths
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.ui import words
from rigpanel.ui.widgets import button, column, label

CHOOSE = "Choose a GGUF file, or drop one here."
READING = "Reading the header …"


class FileHead(QWidget):
    """The file's path on top, its name and facts below; a demo model where there is no other."""

    settled = Signal()
    """A person has settled on the path as it stands."""
    library_requested = Signal()
    demo_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        rows = column(spacing=8)
        self.setLayout(rows)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.path = QLineEdit(placeholderText="Path of a .gguf file")
        self.path.setAccessibleName("Model file")
        self.path.setToolTip("Enter reads the file's header, Ctrl+Enter loads it")
        self.path.returnPressed.connect(self.settled)
        browse = button("Open…", "", "Choose a file (Ctrl+O)")
        browse.clicked.connect(self.choose)
        row.addWidget(self.path, 1)
        row.addWidget(browse)
        rows.addLayout(row)
        self.library_button = button(
            "Models on this machine…", "link", "What other programs have fetched already (Ctrl+M)"
        )
        self.library_button.clicked.connect(self.library_requested)
        rows.addWidget(self.library_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._name = label("", "strong")
        self._name.hide()
        self.facts = label(CHOOSE, "muted")
        self.demo_button = button(
            "Make a small demo model",
            "link",
            "Random weights: it runs for real, its words are noise",
        )
        self.demo_button.clicked.connect(self.demo_requested)
        rows.addWidget(self._name)
        rows.addWidget(self.facts)
        rows.addWidget(self.demo_button, 0, Qt.AlignmentFlag.AlignLeft)

    @property
    def chosen(self) -> Path:
        """The file, whether or not there is one by that name."""
        return paths.expanded(self.path.text().strip())

    @Slot()
    def choose(self) -> None:
        """Open the file chooser."""
        start = str(Path(self.path.text()).parent) if self.path.text() else str(Path.home())
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", start, "GGUF models (*.gguf);;All files (*)"
        )
        if path:
            self.path.setText(path)
            self.settled.emit()
            self.path.setFocus()

    def show_header(self, header: GgufHeader) -> None:
        """Say what the file's header says."""
        self._name.setText(header.name)
        self._name.show()
        self.demo_button.hide()
        template = "" if header.chat_template else "\nIt brings no chat template: choose one below."
        self.facts.setText(
            f"{header.file_type} · {words.file_size(header.size_mib)} · "
            f"{words.parameters(header.n_params)} parameters\n{header.arch} · "
            f"{header.n_layer} layers · trained on {header.n_ctx_train} tokens{template}"
        )

    def show_none(self, why: str) -> None:
        """Say why no header stands here."""
        self._name.hide()
        self.demo_button.show()
        self.facts.setText(why)
