# SPDX-License-Identifier: MIT
"""The settings pane: a form made from the settings' own declaration, applied at once."""

from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from rigpanel.settings import (
    LAST_MODEL,
    RPC_SERVERS,
    SETTINGS,
    Setting,
    SettingsError,
    SettingsStore,
)
from rigpanel.ui.widgets import column, guarded, indented, label, named, scroll_area

PAGE_PX = 760
EDITOR_PX, LINE_PX = 136, 280
SET_ELSEWHERE = (LAST_MODEL, RPC_SERVERS)
"""Settings that another pane makes."""
SECTIONS = {"window": "Window", "watch": "Watching", "alerts": "Alerts", "engine": "Engine"}


class SettingsPane(QFrame):
    """One row a setting; what cannot be set says why under the row."""

    def __init__(self, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "card")
        self._settings = settings
        self.editors: dict[str, QWidget] = {}
        """The field of each setting, by its key."""
        self.errors: dict[str, QLabel] = {}
        """The line under each setting that says why a value was refused, by its key."""
        self._refused: dict[Setting[Any], object] = {}
        """What stands in a field and is not in force."""
        inside = QWidget()
        inside.setMaximumWidth(PAGE_PX)
        rows = column(margins=(24, 20, 24, 24), spacing=8)
        inside.setLayout(rows)
        rows.addWidget(named(QLabel("Settings"), "title"))
        rows.addWidget(label(f"Applied at once and kept in {settings.path}", "muted"))
        for problem in settings.problems:
            rows.addWidget(label(problem, "error"))
        section, box = "", column()
        for setting in SETTINGS:
            if setting in SET_ELSEWHERE:
                continue
            if setting.key.split(".")[0] != section:
                section = setting.key.split(".")[0]
                box = self._section(rows, SECTIONS.get(section, section.capitalize()))
            else:
                line = named(QFrame(), "line")
                line.setFixedHeight(1)
                box.addWidget(line)
            box.addLayout(self._row(setting))
        rows.addStretch(1)
        whole = column(margins=(1, 1, 1, 1))
        self.setLayout(whole)
        whole.addWidget(scroll_area(inside))

    def _section(self, rows: QVBoxLayout, title: str) -> QVBoxLayout:
        rows.addSpacing(12)
        rows.addWidget(named(QLabel(title), "section"))
        frame = named(QFrame(), "inset")
        box = column(margins=(16, 12, 16, 12), spacing=12)
        frame.setLayout(box)
        rows.addWidget(frame)
        return box

    def _row(self, setting: Setting[Any]) -> QVBoxLayout:
        editor = self._editor(setting)
        editor.setAccessibleName(setting.label)
        self.editors[setting.key] = editor
        error = label("", "error")
        error.hide()
        self.errors[setting.key] = error
        words = column(spacing=2)
        words.addWidget(label(setting.label, "strong"))
        words.addWidget(label(setting.sentence.replace("`", ""), "muted"))
        row = QHBoxLayout()
        row.setSpacing(24)
        row.addLayout(words, 1)
        if not isinstance(editor, QCheckBox):
            editor.setFixedWidth(LINE_PX if isinstance(editor, QLineEdit) else EDITOR_PX)
        row.addWidget(editor, 0, Qt.AlignmentFlag.AlignVCenter)
        stack = column(spacing=4)
        stack.addLayout(row)
        stack.addWidget(error)
        return stack

    def _editor(self, setting: Setting[Any]) -> QWidget:
        value = self._settings.get(setting)
        if setting.choices:
            combo = guarded(QComboBox())
            combo.addItems(setting.choices)
            combo.setCurrentText(value)
            combo.currentTextChanged.connect(partial(self._set, setting))
            return combo
        if isinstance(setting.default, bool):
            box = QCheckBox()
            box.setChecked(value)
            box.toggled.connect(partial(self._set, setting))
            return box
        if isinstance(setting.default, (int, float)):
            spin = guarded(indented(QDoubleSpinBox()))
            spin.setDecimals(0 if isinstance(setting.default, int) else 1)
            low, high = setting.minimum, setting.maximum
            spin.setRange(-1e6 if low is None else low, 1e6 if high is None else high)
            spin.setSingleStep(0.1 if spin.maximum() <= 10 else 1.0)
            spin.setSuffix(f" {setting.unit}" if setting.unit else "")
            spin.setKeyboardTracking(False)  # half a figure is not a setting
            spin.setValue(value)
            spin.valueChanged.connect(partial(self._set, setting))
            return spin
        line = QLineEdit(value)
        line.editingFinished.connect(lambda: self._set(setting, line.text()))
        return line

    def _set(self, setting: Setting[Any], value: object) -> None:
        if isinstance(setting.default, int) and isinstance(value, float):
            value = int(value)
        if self._applied(setting, value):
            for other, still_wanted in list(self._refused.items()):
                self._applied(other, still_wanted)  # it may go together with the new value

    def _applied(self, setting: Setting[Any], value: object) -> bool:
        """Put a value in force, or say under its row why not."""
        error = self.errors[setting.key]
        try:
            self._settings.set(setting, value)
        except SettingsError as problem:
            self._refused[setting] = value
            in_force = f"{self._settings.get(setting)} {setting.unit}".strip()
            error.setText(f"{problem}. Still in force: {in_force}.")
            error.show()
            return False
        self._refused.pop(setting, None)
        error.hide()
        return True
