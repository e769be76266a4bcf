# SPDX-License-Identifier: MIT
"""A form of everything that decides how the next token is chosen, made from its declaration."""

import dataclasses
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rigpanel.engine.messages import EngineError, Sampling
from rigpanel.engine.sampling import PARAMETERS, SamplingParameter, check
from rigpanel.ui.panes.chat.sampling_texts import TEXTS, TextParameter
from rigpanel.ui.widgets import button, column, field, guarded, indented, label, named

FIRST = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty")
"""What most people want to turn; the rest folds."""


class _Numbers(QDoubleSpinBox):
    """A number as short as it can be written."""

    def textFromValue(self, value: float) -> str:
        return f"{value:.4f}".rstrip("0").rstrip(".")


@dataclasses.dataclass(frozen=True, slots=True)
class _Text:
    """A field that is written in, and the line that says what is wrong with it."""

    parameter: TextParameter
    editor: QLineEdit | QPlainTextEdit
    error: QLabel

    def written(self) -> str:
        if isinstance(self.editor, QLineEdit):
            return self.editor.text()
        return self.editor.toPlainText()

    def show(self, sampling: Sampling) -> None:
        text = self.parameter.write(sampling)
        if isinstance(self.editor, QLineEdit):
            self.editor.setText(text)
        else:
            self.editor.setPlainText(text)
        self.error.hide()

    def tell(self, sentence: str) -> None:
        self.error.setText(sentence)
        self.error.setVisible(bool(sentence))


class SamplingForm(QWidget):
    """Shows a Sampling and tells of every change that can be sampled with."""

    changed = Signal(object)
    """A `Sampling` that `check` has passed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sampling = Sampling()
        self._filling = False
        self.numbers: dict[str, QSpinBox | QDoubleSpinBox] = {}
        self.texts: dict[str, _Text] = {}
        rows = column(spacing=8)
        self.setLayout(rows)
        rows.addWidget(self._form(FIRST))
        self.fold = button("▸ More", "quiet", "Every other parameter")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self._unfold)
        rows.addWidget(self.fold, 0, Qt.AlignmentFlag.AlignLeft)
        self._more = QWidget()
        more = column(spacing=10)
        self._more.setLayout(more)
        more.addWidget(self._form(tuple(p.name for p in PARAMETERS if p.name not in FIRST)))
        self._add_texts(more)
        self._more.hide()
        rows.addWidget(self._more)
        self.show_sampling(self._sampling)

    @property
    def sampling(self) -> Sampling:
        """What was set last that can be sampled with."""
        return self._sampling

    def show_sampling(self, sampling: Sampling) -> None:
        """Show one, without telling of it."""
        self._filling = True
        self._sampling = sampling
        for name, box in self.numbers.items():
            box.setValue(getattr(sampling, name))
        for text in self.texts.values():
            text.show(sampling)
        self.ignore_eos.setChecked(sampling.ignore_eos)
        self._filling = False

    def _form(self, names: tuple[str, ...]) -> QWidget:
        held = QWidget()
        form = QFormLayout(held)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(12)
        form.setVerticalSpacing(6)
        for parameter in PARAMETERS:
            if parameter.name in names:
                box = self._number(parameter)
                caption = named(QLabel(parameter.label), "field")
                caption.setToolTip(box.toolTip())
                caption.setBuddy(box)
                caption.setMinimumHeight(box.sizeHint().height())
                form.addRow(caption, box)
        return held

    def _number(self, parameter: SamplingParameter) -> QSpinBox | QDoubleSpinBox:
        box: QSpinBox | QDoubleSpinBox
        if parameter.whole:
            whole = guarded(indented(QSpinBox()))
            whole.setRange(int(parameter.minimum), int(parameter.maximum))
            whole.setSingleStep(int(parameter.step))
            whole.valueChanged.connect(self._take)
            box = whole
        else:
            number = guarded(indented(_Numbers()))
            number.setDecimals(4)
            number.setRange(parameter.minimum, parameter.maximum)
            number.setSingleStep(parameter.step)
            number.valueChanged.connect(self._take)
            box = number
        box.setKeyboardTracking(False)
        box.setMinimumWidth(72)
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        box.setAccessibleName(parameter.label)
        box.setToolTip(
            f"{parameter.sentence}\nFrom {parameter.minimum:g} to {parameter.maximum:g}."
        )
        self.numbers[parameter.name] = box
        return box

    def _add_texts(self, rows: QVBoxLayout) -> None:
        self.ignore_eos = QCheckBox("Go on past the end of a reply")
        self.ignore_eos.setToolTip("Never takes the token that ends a reply; for measurements.")
        self.ignore_eos.toggled.connect(self._take)
        rows.addWidget(self.ignore_eos)
        for parameter in TEXTS:
            editor: QLineEdit | QPlainTextEdit
            if parameter.lines == 1:
                editor = QLineEdit()
            else:
                editor = QPlainTextEdit()
                editor.setTabChangesFocus(True)
                editor.setFixedHeight(editor.fontMetrics().lineSpacing() * parameter.lines + 20)
            editor.setPlaceholderText(parameter.hint)
            editor.setToolTip(parameter.sentence)
            editor.textChanged.connect(self._take)
            error = label("", "error")
            error.hide()
            self.texts[parameter.name] = _Text(parameter, editor, error)
            rows.addWidget(field(parameter.label, editor, error))

    @Slot()
    def _take(self) -> None:
        if self._filling:
            return
        values: dict[str, Any] = {name: box.value() for name, box in self.numbers.items()}
        values["ignore_eos"] = self.ignore_eos.isChecked()
        right = True
        for name, text in self.texts.items():
            try:
                values[name] = text.parameter.read(text.written())
                check(dataclasses.replace(Sampling(), **{name: values[name]}))
            except EngineError as error:
                right = False
                text.tell(str(error))
            else:
                text.tell("")
        if not right:
            return
        sampling = dataclasses.replace(self._sampling, **values)
        try:
            check(sampling)
        except EngineError as error:  # two that do not go together
            self.texts["json_schema"].tell(str(error))
            return
        if sampling != self._sampling:
            self._sampling = sampling
            self.changed.emit(sampling)

    @Slot(bool)
    def _unfold(self, opened: bool) -> None:
        self.fold.setText("▾ Less" if opened else "▸ More")
        self._more.setVisible(opened)
