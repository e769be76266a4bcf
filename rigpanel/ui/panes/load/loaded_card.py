# SPDX-License-Identifier: MIT
"""What a finished load took: a line a device, as llama.cpp reported it."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QWidget

from rigpanel.engine.messages import LoadedModel
from rigpanel.ui import words
from rigpanel.ui.widgets import column, label, named


class LoadedCard(QFrame):
    """The model in memory, where it lies and how long it took to get there."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "inset")
        rows = column(margins=(12, 10, 12, 12), spacing=4)
        self.setLayout(rows)
        rows.addWidget(named(QLabel("Loaded"), "section"))
        self._name = label("", "strong")
        self._facts = label("", "muted")
        self._notes = label("", "muted")
        self._devices = QWidget()
        self._grid = QGridLayout(self._devices)
        self._grid.setContentsMargins(0, 4, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        for part in (self._name, self._facts, self._devices, self._notes):
            rows.addWidget(part)
        self.hide()

    def show_model(self, model: LoadedModel) -> None:
        """Show what one load produced."""
        self._name.setText(model.name)
        template = (
            "" if model.template == "file" else f" · chat template {model.template or 'none'}"
        )
        self._facts.setText(
            f"{model.file_type} · context {model.n_ctx} tokens · "
            f"loaded in {model.load_s:.1f} s{template}"
        )
        self._notes.setText("\n".join(model.notes))
        self._notes.setVisible(bool(model.notes))
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for row, use in enumerate(model.devices):
            total = use.weights_mib + use.kv_mib + use.compute_mib
            layers = f" · {words.layers(use.layers)}" if use.layers else ""
            self._grid.addWidget(QLabel(f"{use.device}{layers}"), 3 * row, 0)
            figure = named(QLabel(f"{total:.0f} MiB"), "strong")
            self._grid.addWidget(figure, 3 * row, 1, Qt.AlignmentFlag.AlignRight)
            parts = (
                f"weights {use.weights_mib:.0f} · KV cache {use.kv_mib:.0f} · "
                f"compute {use.compute_mib:.0f}\N{NO-BREAK SPACE}MiB"
            )
            self._grid.addWidget(label(parts, "muted"), 3 * row + 1, 0, 1, 2)
            self._grid.setRowMinimumHeight(3 * row + 2, 4)
        self.show()

    def sentences(self) -> str:
        """Return all that the card says, a line a part."""
        return "\n".join(part.text() for part in self.findChildren(QLabel))
