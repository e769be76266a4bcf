# SPDX-License-Identifier: MIT
"""Load profiles of the chosen model: settings under a name, and those that worked last."""

import contextlib
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.profiles import ProfileStore
from rigpanel.ui.panes.load.field_row import remove_button
from rigpanel.ui.widgets import button, column, label, named

NAME_IT = "Name these settings"
LAST = "As it was last loaded."


@dataclass(frozen=True, slots=True)
class _Question:
    about: str
    model: Path | None
    then: str = ""
    """What to say once it is done."""


@dataclass(frozen=True, slots=True)
class _Answer:
    question: _Question
    value: Any


class ProfileRow(QWidget):
    """A list to choose from or to type a new name in, and Save and Delete beside it."""

    chosen = Signal(object)
    """The LoadSettings of a profile, or of the last load that worked."""
    save_requested = Signal(str)
    """Name under which the settings as they stand are to be kept."""
    _answered = Signal(object)

    def __init__(self, profiles: ProfileStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._profiles = profiles
        self._model: Path | None = None
        self._known: dict[str, LoadSettings] = {}
        rows = column(spacing=4)
        self.setLayout(rows)
        caption = named(QLabel("Profile"), "field")
        rows.addWidget(caption)
        line = QHBoxLayout()
        line.setSpacing(6)
        self.combo = QComboBox()
        self.combo.setEditable(True)
        self.combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.combo.setAccessibleName("Load profile")
        self.combo.setToolTip("Settings kept for this model; type a name to keep these")
        self.combo.setMinimumContentsLength(8)
        line_edit = self.combo.lineEdit()
        if line_edit is not None:
            line_edit.setPlaceholderText(NAME_IT)
        caption.setBuddy(self.combo)
        self.save_button = button("Save", "", "Keep the settings as they stand under this name")
        self.delete_button = remove_button("Forget this profile")
        line.addWidget(self.combo, 1)
        line.addWidget(self.save_button)
        line.addWidget(self.delete_button)
        rows.addLayout(line)
        self.note, self.problem = label("", "muted"), label("", "error")
        rows.addWidget(self.note)
        rows.addWidget(self.problem)
        self.combo.activated.connect(self._choose)
        self.combo.editTextChanged.connect(self._enable)
        self.save_button.clicked.connect(self._save)
        self.delete_button.clicked.connect(self._delete)
        self._answered.connect(self._take)
        self._say("")
        self._enable()
        self.hide()

    def set_model(self, model: Path | None) -> None:
        """Take another model: its profiles, and the settings it was last loaded with."""
        if model == self._model:
            return  # Read again: what is set stays.
        self.setVisible(model is not None)
        self._model = model
        self._known = {}
        self.combo.clear()
        self._say("")
        if model is not None:
            self._ask("last", self._profiles.last(model))
            self._ask("list", self._profiles.list(model))
        self._enable()

    def save(self, name: str, settings: LoadSettings) -> None:
        """Keep settings under a name, for the model they are of."""
        self._ask("save", self._profiles.save(settings.model, name, settings), f"Saved as {name}.")
        self._ask("list", self._profiles.list(settings.model))

    def remember(self, settings: LoadSettings) -> None:
        """Keep the settings of a load that worked."""
        self._ask("remember", self._profiles.remember(settings.model, settings))

    def _ask(self, about: str, answer: "Future[Any]", then: str = "") -> None:
        answer.add_done_callback(partial(self._done, _Question(about, self._model, then)))

    def _done(self, question: _Question, future: "Future[Any]") -> None:
        """Take an answer on whatever thread it comes."""
        try:
            value = future.result()
        except CancelledError:
            return
        except RigpanelError as error:
            value = error
        with contextlib.suppress(RuntimeError):  # The window is gone.
            self._answered.emit(_Answer(question, value))

    @Slot(object)
    def _take(self, answer: _Answer) -> None:
        question, value = answer.question, answer.value
        if question.model != self._model:
            return  # Another file was chosen meanwhile.
        if isinstance(value, RigpanelError):
            self._say("", str(value))
        elif question.about == "last" and value is not None:
            self._say(LAST)
            self.chosen.emit(value)
        elif question.about == "list":
            self._show(value)
        elif question.then:
            self._say(question.then)

    def _show(self, known: dict[str, LoadSettings]) -> None:
        typed = self.combo.currentText()
        self._known = known
        self.combo.clear()
        self.combo.addItems(list(known))
        self.combo.setCurrentIndex(self.combo.findText(typed))
        self.combo.setEditText(typed)
        self._enable()

    @Slot()
    def _enable(self) -> None:
        name = self.combo.currentText().strip()
        self.save_button.setEnabled(bool(name))
        self.delete_button.setVisible(name in self._known)

    def _say(self, sentence: str, problem: str = "") -> None:
        for shown, text in ((self.note, sentence), (self.problem, problem)):
            shown.setText(text)
            shown.setVisible(bool(text))

    @Slot(int)
    def _choose(self, place: int) -> None:
        settings = self._known.get(self.combo.itemText(place))
        if settings is not None:
            self._say(f"As saved under {self.combo.itemText(place)}.")
            self.chosen.emit(settings)

    @Slot()
    def _save(self) -> None:
        self.save_requested.emit(self.combo.currentText().strip())

    @Slot()
    def _delete(self) -> None:
        if self._model is None:
            return
        name = self.combo.currentText().strip()
        then = f"{name} is forgotten. Save keeps it again while its name stands here."
        self._ask("delete", self._profiles.delete(self._model, name), then)
        self._ask("list", self._profiles.list(self._model))
        self.combo.setFocus()
