# SPDX-License-Identifier: MIT
"""LoRA adapters: files that change a model a little, each with how strongly it is applied."""

import dataclasses
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QDoubleSpinBox, QFileDialog, QHBoxLayout, QPushButton, QWidget

from rigpanel.fit.load_settings import LoadSettings, LoraAdapter
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup, remove_button
from rigpanel.ui.widgets import ElidedLabel, button, column, guarded, indented, local_files

SENTENCE = "Adapters made for this very model; drop .gguf files here. Strength 1 is as trained."
STRONGEST = 10.0


class _AdapterRow(QWidget):
    """One adapter: its file, its strength, and a way to be rid of it."""

    def __init__(self, adapter: LoraAdapter) -> None:
        super().__init__()
        self.path = adapter.path
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        name = ElidedLabel()
        name.setText(adapter.path.name)
        name.setToolTip(str(adapter.path))
        row.addWidget(name, 1)
        self.scale = indented(
            QDoubleSpinBox(minimum=-STRONGEST, maximum=STRONGEST, singleStep=0.1, decimals=2)
        )
        self.scale.setValue(adapter.scale)
        guarded(self.scale).setFixedWidth(84)
        self.scale.setAccessibleName(f"Strength of {adapter.path.name}")
        self.scale.setToolTip("How strongly it is applied; 1 is as trained, 0 is not at all")
        row.addWidget(self.scale)
        self.remove = remove_button(f"Leave {adapter.path.name} out")
        row.addWidget(self.remove)


class Adapters(SettingsGroup):
    """A row an adapter, in the order they are applied."""

    KEYS = ("lora",)

    def __init__(self) -> None:
        super().__init__(spacing=6)
        self._adapters: list[_AdapterRow] = []
        self._box = QWidget()
        self._box.setLayout(column(spacing=4))
        self.add("lora", FieldRow("LoRA adapters", self._box, SENTENCE, "lora", alone=True))
        self.add_button: QPushButton = button("Add an adapter…", "link", "Choose a .gguf file")
        self.add_button.clicked.connect(self.choose_file)
        self.rows.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.setAcceptDrops(True)

    def add_file(self, path: Path) -> None:
        """Add an adapter at full strength; one that is there already stays as it is."""
        if all(row.path != path for row in self._adapters):
            self._add(LoraAdapter(path))
            self.changed.emit()

    @property
    def strengths(self) -> tuple[QDoubleSpinBox, ...]:
        """The strength's field of each adapter."""
        return tuple(row.scale for row in self._adapters)

    @property
    def removers(self) -> tuple[QPushButton, ...]:
        """The button of each adapter that leaves it out."""
        return tuple(row.remove for row in self._adapters)

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the adapters."""
        adapters = tuple(LoraAdapter(row.path, row.scale.value()) for row in self._adapters)
        return dataclasses.replace(settings, lora=adapters)

    def take(self, settings: LoadSettings) -> None:
        """Show the adapters of `settings`."""
        for row in self._adapters:
            row.hide()
            row.deleteLater()
        self._adapters = []
        for adapter in settings.lora:
            self._add(adapter)
        self.changed.emit()

    def summary(self) -> str:
        """Return how many there are."""
        count = len(self._adapters)
        return "none" if count == 0 else self._adapters[0].path.name if count == 1 else f"{count}"

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files of this machine."""
        if local_files(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Add every file that was dropped."""
        event.acceptProposedAction()
        for file in local_files(event.mimeData()):
            self.add_file(file)

    @Slot()
    def choose_file(self) -> None:
        """Open the file chooser."""
        start = str(self._adapters[-1].path.parent) if self._adapters else str(Path.home())
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Choose LoRA adapters", start, "GGUF adapters (*.gguf);;All files (*)"
        )
        for path in paths:
            self.add_file(Path(path))

    def _add(self, adapter: LoraAdapter) -> None:
        row = _AdapterRow(adapter)
        row.scale.valueChanged.connect(self._tell)
        row.remove.clicked.connect(self._remove)
        self._adapters.append(row)
        held = self._box.layout()
        if held is not None:
            held.addWidget(row)
        self.order_tabs()

    @Slot()
    def _tell(self) -> None:
        self.changed.emit()

    @Slot()
    def _remove(self) -> None:
        sender = self.sender()
        for row in [row for row in self._adapters if row.remove is sender]:
            self._adapters.remove(row)
            row.hide()
            row.deleteLater()
        self.add_button.setFocus()
        self.changed.emit()
