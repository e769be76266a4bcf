# SPDX-License-Identifier: MIT
"""What has gone wrong with the engine: the sentence, the settings in force, the last log lines."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QWidget

from rigpanel.codec import to_plain
from rigpanel.engine.messages import EngineStatus
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.widgets import button, column, label, named

LEAST_DETAIL_LINES, DETAIL_LINES = 3, 9


class EngineTrouble(QFrame):
    """Stands above the composer until the model is loaded again."""

    reload_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "problem")
        rows = column(margins=(12, 8, 12, 10), spacing=6)
        self.setLayout(rows)
        self.sentence = label("", "error")
        rows.addWidget(self.sentence)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setTabChangesFocus(True)
        self.details.setAccessibleName("Details")
        line_px = self.details.fontMetrics().lineSpacing()
        self.details.setMinimumHeight(line_px * LEAST_DETAIL_LINES)
        self.details.setMaximumHeight(line_px * DETAIL_LINES)
        self.details.hide()
        row = QHBoxLayout()
        row.setSpacing(12)
        self.reload_button = button("Reload", "", "Load the model again with the same settings")
        self.reload_button.clicked.connect(self.reload_requested)
        self.fold = button("▸ Details", "quiet", "Settings in force and the engine's last lines")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self._unfold)
        self.copy_button = button("Copy", "quiet", "Copy sentence, settings and lines")
        self.copy_button.clicked.connect(self._copy)
        row.addWidget(self.reload_button)
        row.addStretch(1)
        row.addWidget(self.fold)
        row.addWidget(self.copy_button)
        rows.addLayout(row)
        rows.addWidget(self.details)
        self.copy_button.hide()
        self.hide()

    def show_status(self, status: EngineStatus) -> None:
        """Show what the engine says of its end, or nothing while it is well."""
        self.setVisible(status.problem is not None)
        if status.problem is None:
            self.fold.setChecked(False)
            return
        self.sentence.setText(status.problem)
        lines = [] if status.settings is None else [*settings_lines(status.settings), ""]
        self.details.setPlainText("\n".join([*lines, *status.log_tail]))

    @Slot(bool)
    def _unfold(self, opened: bool) -> None:
        self.fold.setText("▾ Details" if opened else "▸ Details")
        self.details.setVisible(opened)
        self.copy_button.setVisible(opened)

    @Slot()
    def _copy(self) -> None:
        text = f"{self.sentence.text()}\n\n{self.details.toPlainText()}\n"
        QGuiApplication.clipboard().setText(text)


def settings_lines(settings: LoadSettings) -> list[str]:
    """Return how a model was loaded, a line each of what is not as it is by itself."""
    plain, usual = to_plain(settings), to_plain(LoadSettings(settings.model))
    kept = ("model", "n_ctx", "n_gpu_layers", "split_mode")
    return [
        f"{name} = {value}" for name, value in plain.items() if name in kept or value != usual[name]
    ]
