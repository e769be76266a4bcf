# SPDX-License-Identifier: MIT
"""The chat template: the file's own, or one of llama.cpp's that a person chose."""

import dataclasses

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QComboBox

from rigpanel.engine.templates import TEMPLATES
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup

OWN = "the file's own"


class Template(SettingsGroup):
    """One choice; what it is for changes with whether the file brings a template."""

    KEYS = ("chat_template",)

    def __init__(self) -> None:
        super().__init__()
        self._missing = False
        self.choice = QComboBox()
        self.choice.addItem(OWN, "")
        for name in TEMPLATES:
            self.choice.addItem(name, name)
        self.add(
            "chat_template",
            FieldRow("Chat template", self.choice, " ", "chat-template", alone=True),
        )
        self.choice.currentIndexChanged.connect(self._follow)
        self._follow()

    def set_header(self, header: GgufHeader | None) -> None:
        """Take whether the file brings a template."""
        self._missing = header is not None and header.chat_template is None
        self._follow()

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the template."""
        return dataclasses.replace(settings, chat_template=self.choice.currentData())

    def take(self, settings: LoadSettings) -> None:
        """Show the template of `settings`."""
        self.choice.setCurrentIndex(max(0, self.choice.findData(settings.chat_template)))

    def summary(self) -> str:
        """Return which one is used."""
        if self._missing and not self.choice.currentData():
            return "none: choose one"
        return self.choice.currentText()

    @Slot()
    def _follow(self) -> None:
        own = not self.choice.currentData()
        if own and self._missing:
            sentence = "The file brings none. Choose the one that its makers name, else no chat."
        elif own:
            sentence = "How roles and messages are written for the model."
        else:
            sentence = "In place of the file's own; a wrong one makes a model talk nonsense."
        self.fields["chat_template"].say(sentence)
        self.changed.emit()
