# SPDX-License-Identifier: MIT
"""Load profiles of the chosen model: settings under a name, and those that worked last."""

import contextlib
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.panes.load.field_row import remove_button
from rigpanel.ui.widgets import button, column, label, named

NAME_IT = "Name these settings"
LAST = "As it was last loaded."


class Profiles(Protocol):
    """Where profiles are kept; every answer comes later."""

    def save(self, model_path: Path, name: str, settings: LoadSettings) -> Future[None]:
        """Keep settings under a name, in place of what had it."""
        ...

    def list(self, model_path: Path) -> Future[dict[str, LoadSettings]]:
        """Return a model's profiles by name."""
        ...

    def delete(self, model_path: Path, name: str) -> Future[None]:
        """Forget one."""
        ...

    def last(self, model_path: Path) -> Future[LoadSettings | None]:
        """Return the settings of the last load that worked."""
        ...

    def remember(self, model_path: Path, settings: LoadSettings) -> Future[None]:
        """Keep the settings of a load that worked."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    about: str
    model: Path | None
    value: Any


class ProfileRow(QWidget):
    """A list to choose from or to type a new name in, and Save and Delete beside it."""

    chosen = Signal(object)
    """The LoadSettings of a profile, or of the last load that worked."""
    save_requested = Signal(str)
    """Name under which the settings as they stand are to be kept."""
    _answered = Signal(object)

    def __init__(self, profiles: Profiles, parent: QWidget | None = None) -> None:
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
        self._ask("saved", self._profiles.save(settings.model, name, settings))
        self._ask("list", self._profiles.list(settings.model))
        self._say(f"Saved as {name}.")

    def remember(self, settings: LoadSettings) -> None:
        """Keep the settings of a load that worked."""
        self._ask("remembered", self._profiles.remember(settings.model, settings))

    def _ask(self, about: str, answer: "Future[Any]") -> None:
        answer.add_done_callback(partial(self._done, about, self._model))

    def _done(self, about: str, model: Path | None, future: "Future[Any]") -> None:
        """Take an answer on whatever thread it comes."""
        try:
            value = future.result()
        except CancelledError:
            return
        except RigpanelError as error:
            value = error
        with contextlib.suppress(RuntimeError):  # The window is gone.
            self._answered.emit(_Answer(about, model, value))

    @Slot(object)
    def _take(self, answer: _Answer) -> None:
        if answer.model != self._model:
            return  # Another file was chosen meanwhile.
        if isinstance(answer.value, RigpanelError):
            self._say("", str(answer.value))
        elif answer.about == "last" and answer.value is not None:
            self._say(LAST)
            self.chosen.emit(answer.value)
        elif answer.about == "list":
            self._show(answer.value)

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
        self._ask("deleted", self._profiles.delete(self._model, name))
        self._ask("list", self._profiles.list(self._model))
        self._say(f"{name} is forgotten. Save keeps it again while its name stands here.")
        self.combo.setFocus()
