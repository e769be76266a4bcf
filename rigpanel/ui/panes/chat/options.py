# SPDX-License-Identifier: MIT
"""The drawer of a chat's options: system prompt, what happens when it is full, sampling."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from rigpanel.chat.presets import PresetStore
from rigpanel.engine.messages import LoadedModel, Sampling, WhenFull
from rigpanel.engine.sampling import PRESETS
from rigpanel.ui.answers import Answers
from rigpanel.ui.panes.chat.sampling_form import SamplingForm
from rigpanel.ui.widgets import button, column, field, guarded, label, named, scroll_area

CHANGED = "changed"
_WHEN_FULL = (
    (WhenFull.STOP, "Stop, and say so"),
    (WhenFull.DROP_OLDEST, "Leave out the oldest turns"),
)


class ChatOptions(QFrame):
    """What stands in it holds from the next message on."""

    system_changed = Signal(str)
    sampling_changed = Signal(object)
    """A `Sampling`."""
    when_full_changed = Signal(object)
    """A `WhenFull`."""
    close_requested = Signal()

    def __init__(self, presets: PresetStore | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets = presets
        self._own: dict[str, Sampling] = {}
        self._answers = Answers(self)
        self._filling = False
        self._build()
        self._show_presets()
        self.read_presets()

    def show_system(self, text: str) -> None:
        """Show a conversation's system prompt."""
        if text != self.system.toPlainText():
            self._filling = True
            self.system.setPlainText(text)
            self._filling = False

    def show_choices(self, sampling: Sampling, when_full: WhenFull) -> None:
        """Show what is in force."""
        self._filling = True
        self.form.show_sampling(sampling)
        self.when_full.setCurrentIndex([choice for choice, _ in _WHEN_FULL].index(when_full))
        self._filling = False
        self._show_presets()

    def show_model(self, model: LoadedModel | None) -> None:
        """Say which chat template is in use."""
        if model is None:
            self.template.setText("No model is loaded.")
        elif model.template == "file":
            self.template.setText("The model's own, from its file.")
        elif model.template:
            self.template.setText(f"{model.template}, chosen by you.")
        else:
            self.template.setText("None: choose one above the message.")

    def read_presets(self) -> None:
        """Ask the file for the presets saved before."""
        if self._presets is not None:
            self._answers.bring(self._presets.list(), self._take_presets, self._tell)

    def _build(self) -> None:
        inside = QWidget()
        rows = column(margins=(12, 4, 12, 12), spacing=12)
        inside.setLayout(rows)
        self.system = QPlainTextEdit()
        self.system.setPlaceholderText("How the model should behave")
        self.system.setTabChangesFocus(True)
        self.system.setFixedHeight(self.system.fontMetrics().lineSpacing() * 5 + 20)
        self.system.setToolTip("Read before the conversation; kept with this conversation")
        self.system.textChanged.connect(self._take_system)
        rows.addWidget(field("System prompt", self.system))
        self.when_full = guarded(QComboBox())
        for _, text in _WHEN_FULL:
            self.when_full.addItem(text)
        self.when_full.currentIndexChanged.connect(self._take_when_full)
        rows.addWidget(field("When the context is full", self.when_full))
        self._build_presets(rows)
        self.form = SamplingForm()
        self.form.changed.connect(self._take_sampling)
        rows.addWidget(self.form)
        self.template = label("", "muted")
        rows.addWidget(field("Chat template", self.template))
        rows.addStretch(1)
        whole = column(spacing=4)
        self.setLayout(whole)
        whole.addLayout(self._head())
        whole.addWidget(scroll_area(inside), 1)

    def _build_presets(self, rows: QVBoxLayout) -> None:
        self.preset = guarded(QComboBox())
        self.preset.setToolTip("Precise for facts and code, creative for stories")
        self.preset.activated.connect(self._take_preset)
        self.delete_button = button("Delete", "", "Forget this preset of yours")
        self.delete_button.clicked.connect(self._delete)
        choose = QHBoxLayout()
        choose.setSpacing(8)
        choose.addWidget(self.preset, 1)
        choose.addWidget(self.delete_button)
        self.preset.setAccessibleName("Sampling preset")
        rows.addWidget(field("Sampling", choose))
        self.name = QLineEdit(placeholderText="Name for what is set below")
        self.name.setAccessibleName("Name of a preset")
        self.name.returnPressed.connect(self._save)
        self.save_button = button("Save", "", "Save it as a preset of yours")
        self.save_button.clicked.connect(self._save)
        save = QHBoxLayout()
        save.setSpacing(8)
        save.addWidget(self.name, 1)
        save.addWidget(self.save_button)
        rows.addLayout(save)
        self.told = label("", "error")
        self.told.hide()
        rows.addWidget(self.told)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(12, 10, 8, 0)
        head.addWidget(named(label("Options"), "title"), 1)
        close = button("»", "fold", "Fold the options away (Ctrl+,)")
        close.setAccessibleName("Fold the options away")
        close.setFixedSize(28, 28)
        close.clicked.connect(self.close_requested)
        head.addWidget(close)
        return head

    @Slot()
    def _take_system(self) -> None:
        if not self._filling:
            self.system_changed.emit(self.system.toPlainText().strip())

    @Slot(int)
    def _take_when_full(self, place: int) -> None:
        if not self._filling:
            self.when_full_changed.emit(_WHEN_FULL[place][0])

    @Slot(object)
    def _take_sampling(self, sampling: Sampling) -> None:
        self.sampling_changed.emit(sampling)
        self._show_presets()

    @Slot(int)
    def _take_preset(self, place: int) -> None:
        name = self.preset.itemText(place)
        sampling = self._all().get(name)
        if sampling is not None:
            self.form.show_sampling(sampling)
            self.sampling_changed.emit(sampling)
        self._show_presets()

    @Slot()
    def _save(self) -> None:
        name = self.name.text().strip()
        if self._presets is None:
            self._tell("Presets cannot be saved: there is no file to keep them in.")
            return

        def done(_: object) -> None:
            self.name.clear()
            self._tell("")
            self.read_presets()

        self._answers.bring(self._presets.save(name, self.form.sampling), done, self._tell)

    @Slot()
    def _delete(self) -> None:
        name = self.preset.currentText()
        if self._presets is not None and name in self._own:
            self._answers.bring(
                self._presets.delete(name), lambda _: self.read_presets(), self._tell
            )

    def _all(self) -> dict[str, Sampling]:
        return {**PRESETS, **self._own}

    def _take_presets(self, own: dict[str, Sampling]) -> None:
        self._own = own
        self._show_presets()

    def _show_presets(self) -> None:
        """List the presets, with the one that what is set is equal to chosen."""
        every = self._all()
        now = self.form.sampling
        name = next((name for name, sampling in every.items() if sampling == now), CHANGED)
        self.preset.clear()
        self.preset.addItems([*every, *([CHANGED] if name == CHANGED else [])])
        self.preset.setCurrentText(name)
        self.delete_button.setVisible(name in self._own)

    def _tell(self, sentence: str) -> None:
        self.told.setText(sentence)
        self.told.setVisible(bool(sentence))
