# SPDX-License-Identifier: MIT
"""The same load as a command of llama.cpp's own programs, to copy."""

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QWidget

from rigpanel.fit.command_line import cli_line, server_line
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.widgets import button, column, label, named

COPIED_MS = 1500
MAKERS = {"llama-server": server_line, "llama-cli": cli_line}


class CommandLines(QWidget):
    """A fold with a line a program; the lines are made when it is first opened."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: LoadSettings | None = None
        self._n_layer = 0
        self._rows = column(spacing=4)
        self.setLayout(self._rows)
        self.head = named(QCheckBox("As a command"), "fold_head")
        self.head.setToolTip("Show or hide: the same load with llama-server or llama-cli")
        self.head.setCursor(Qt.CursorShape.PointingHandCursor)
        self.head.toggled.connect(self._follow)
        self._rows.addWidget(self.head)
        self._body: QWidget | None = None
        self.lines: dict[str, QLabel] = {}
        """The text of each program's line."""
        self.copies: dict[str, QPushButton] = {}
        self._copied = QTimer(self, singleShot=True, interval=COPIED_MS)
        self._copied.timeout.connect(self._rest)

    def show_settings(self, settings: LoadSettings, n_layer: int) -> None:
        """Say these settings, of a model with so many layers."""
        self._settings, self._n_layer = settings, n_layer
        self._follow()

    @Slot()
    def _follow(self) -> None:
        shown = self.head.isChecked()
        if shown and self._body is None:
            self._body = self._make()
        if self._body is not None:
            self._body.setVisible(shown)
        if shown and self._settings is not None:
            for program, make in MAKERS.items():
                line = make(self._settings, self._n_layer)
                # A path has nowhere to break: a zero-width space after each slash lets it.
                self.lines[program].setText(line.replace("/", "/\u200b"))
                self.lines[program].setProperty("line", line)

    def _make(self) -> QWidget:
        body = QWidget()
        rows = column(spacing=4)
        body.setLayout(rows)
        mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        mono.setPixelSize(11)
        for program in MAKERS:
            line = QHBoxLayout()
            line.addWidget(named(QLabel(program), "field"), 1)
            copy = button("Copy", "quiet", f"Copy the {program} command")
            copy.setAccessibleName(f"Copy the {program} command")
            copy.setProperty("program", program)
            copy.clicked.connect(self._copy)
            line.addWidget(copy)
            rows.addLayout(line)
            text = label("", "command")
            text.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
            text.setFont(mono)
            rows.addWidget(text)
            self.lines[program], self.copies[program] = text, copy
        self._rows.addWidget(body)
        return body

    @Slot()
    def _copy(self) -> None:
        sender = self.sender()
        if isinstance(sender, QPushButton):
            line = self.lines[sender.property("program")].property("line")
            QGuiApplication.clipboard().setText(line)
            sender.setText("Copied")
            self._copied.start()

    @Slot()
    def _rest(self) -> None:
        for copy in self.copies.values():
            copy.setText("Copy")
