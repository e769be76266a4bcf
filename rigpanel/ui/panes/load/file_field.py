# SPDX-License-Identifier: MIT
"""A field for a file: its path can be typed, chosen, or dropped."""

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from rigpanel import paths
from rigpanel.ui.widgets import button, local_files


class FileField(QWidget):
    """A line for the path and a button that opens the file chooser."""

    changed = Signal()
    """Another file was settled on; not at every key."""

    def __init__(self, name: str, title: str) -> None:
        super().__init__()
        self._title = title
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.line = QLineEdit(placeholderText="Path of a .gguf file")
        self.line.setAccessibleName(name)
        self.line.setAcceptDrops(False)  # a drop is a file here, not text
        self.line.editingFinished.connect(self.changed)
        row.addWidget(self.line, 1)
        browse = button("Open…", "", title)
        browse.setAccessibleName(title)
        browse.clicked.connect(self._choose)
        row.addWidget(browse)
        self.setFocusProxy(self.line)
        self.setAcceptDrops(True)

    @property
    def path(self) -> Path | None:
        """The file, whether or not there is one by that name; None while the line is empty."""
        text = self.line.text().strip()
        return paths.expanded(text) if text else None

    def set_path(self, path: Path | None) -> None:
        """Put a file in the line."""
        self.line.setText("" if path is None else str(path))
        self.changed.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files of this machine."""
        if local_files(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the first file that was dropped."""
        event.acceptProposedAction()
        self.set_path(local_files(event.mimeData())[0])

    @Slot()
    def _choose(self) -> None:
        start = str(self.path.parent) if self.path is not None else str(Path.home())
        path, _ = QFileDialog.getOpenFileName(
            self, self._title, start, "GGUF models (*.gguf);;All files (*)"
        )
        if path:
            self.set_path(Path(path))
