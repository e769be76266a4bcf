# SPDX-License-Identifier: MIT
"""Speculation: cheap guesses of the next tokens, several of which the model checks at once."""

import dataclasses

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QComboBox, QSpinBox

from rigpanel.fit.load_settings import LoadSettings, Speculation
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup
from rigpanel.ui.panes.load.file_field import FileField
from rigpanel.ui.widgets import indented

KINDS = {
    Speculation.NONE: ("none", "One token after the other."),
    Speculation.DRAFT_MODEL: (
        "draft model",
        "A small model of the same vocabulary guesses. The words stay the same, they come sooner.",
    ),
    Speculation.PROMPT_LOOKUP: (
        "prompt lookup",
        "Guesses from what the conversation already says; helps where much is repeated.",
    ),
}
MOST_DRAFT = 64


class SpeculationGroup(SettingsGroup):
    """Where the guesses come from and how many there are at most."""

    KEYS = ("speculation", "model_draft", "n_draft")

    def __init__(self) -> None:
        super().__init__()
        self.kind = QComboBox()
        for kind, (name, _sentence) in KINDS.items():
            self.kind.addItem(name, kind)
        self.add("speculation", FieldRow("Guesses from", self.kind, " ", "speculative", wide=True))
        self.draft = FileField("Draft model", "Choose a draft model")
        self.add("model_draft", FieldRow("Draft model", self.draft, "", "model_draft", wide=True))
        self.n_draft = indented(QSpinBox(minimum=1, maximum=MOST_DRAFT, value=8))
        self.add(
            "n_draft",
            FieldRow("Guesses", self.n_draft, "At most, before the model checks them.", "n_draft"),
        )
        self.kind.currentIndexChanged.connect(self._follow)
        self.n_draft.valueChanged.connect(self._follow)
        self.draft.changed.connect(self._follow)
        self._follow()

    @property
    def _kind(self) -> Speculation:
        kind: Speculation = self.kind.currentData()
        return kind

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the speculation; a draft model only where one is used."""
        drafted = self._kind is Speculation.DRAFT_MODEL
        return dataclasses.replace(
            settings,
            speculation=self._kind,
            model_draft=self.draft.path if drafted else None,
            n_draft=self.n_draft.value(),
        )

    def take(self, settings: LoadSettings) -> None:
        """Show the speculation of `settings`."""
        self.kind.setCurrentIndex(self.kind.findData(settings.speculation))
        self.draft.set_path(settings.model_draft)
        self.n_draft.setValue(settings.n_draft)

    def summary(self) -> str:
        """Return where guesses come from."""
        return KINDS[self._kind][0]

    @Slot()
    def _follow(self) -> None:
        self.fields["speculation"].say(KINDS[self._kind][1])
        self.fields["model_draft"].setVisible(self._kind is Speculation.DRAFT_MODEL)
        self.fields["n_draft"].setVisible(self._kind is not Speculation.NONE)
        self.changed.emit()
