# SPDX-License-Identifier: MIT
"""The settings pane: a form made from the settings' own declaration, applied at once."""

from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from rigpanel.settings import LAST_MODEL, SETTINGS, Setting, SettingsError, SettingsStore
from rigpanel.ui.widgets import form_layout, label, named, scroll_area

WIDTH_PX = 760


class SettingsPane(QWidget):
    """One row a setting; what cannot be set says why under the row."""

    def __init__(self, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.editors: dict[str, QWidget] = {}
        self._errors: dict[str, QLabel] = {}
        inside = QWidget()
        inside.setMaximumWidth(WIDTH_PX)
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 16, 20, 16)
        column.addWidget(named(QLabel("Settings"), "title"))
        column.addWidget(label(f"Kept in {settings.path}", "muted"))
        for problem in settings.problems:
            column.addWidget(label(problem, "error"))
        section = ""
        form: QFormLayout = form_layout()
        for setting in SETTINGS:
            if setting is LAST_MODEL:
                continue
            if setting.key.split(".")[0] != section:
                section = setting.key.split(".")[0]
                column.addSpacing(12)
                column.addWidget(named(QLabel(section.capitalize()), "section"))
                form = form_layout()
                column.addLayout(form)
            self._add(form, setting)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll_area(inside))

    def _add(self, form: QFormLayout, setting: Setting[Any]) -> None:
        editor = self._editor(setting)
        editor.setAccessibleName(setting.label)
        self.editors[setting.key] = editor
        cell = QVBoxLayout()
        cell.setSpacing(2)
        cell.addWidget(editor, 0, Qt.AlignmentFlag.AlignLeft)
        cell.addWidget(label(setting.sentence.replace("`", ""), "muted"))
        error = label("", "error")
        error.hide()
        self._errors[setting.key] = error
        cell.addWidget(error)
        name = QLabel(setting.label)
        name.setMinimumWidth(180)
        form.addRow(name, cell)

    def _editor(self, setting: Setting[Any]) -> QWidget:
        value = self._settings.get(setting)
        if setting.choices:
            combo = QComboBox()
            combo.addItems(setting.choices)
            combo.setCurrentText(value)
            combo.currentTextChanged.connect(partial(self._set, setting))
            return combo
        if isinstance(setting.default, bool):
            box = QCheckBox()
            box.setChecked(value)
            box.toggled.connect(partial(self._set, setting))
            return box
        if isinstance(setting.default, float):
            spin = QDoubleSpinBox()
            spin.setRange(setting.minimum or 0.0, setting.maximum or 1e6)
            spin.setDecimals(1)
            spin.setSuffix(f" {setting.unit}")
            spin.setMinimumWidth(120)
            spin.setValue(value)
            spin.valueChanged.connect(partial(self._set, setting))
            return spin
        line = QLineEdit(value)
        line.textEdited.connect(partial(self._set, setting))
        return line

    def _set(self, setting: Setting[Any], value: object) -> None:
        error = self._errors[setting.key]
        try:
            self._settings.set(setting, value)
        except SettingsError as problem:
            error.setText(f"{problem}.")
            error.show()
        else:
            for shown in self._errors.values():
                shown.hide()
