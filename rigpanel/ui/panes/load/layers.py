# SPDX-License-Identifier: MIT
"""How many layers go to the devices, and how long a conversation may grow."""

import dataclasses

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSlider, QSpinBox, QWidget

from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.ui import words
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup
from rigpanel.ui.widgets import button, guarded, indented, shrinkable

DEFAULT_CTX, LEAST_CTX, MOST_CTX = 4096, 256, 1_048_576
PRESETS_CTX = (4096, 8192, 16384, 32768, 65536, 131072)


class Layers(SettingsGroup):
    """The model's layers on the devices; all of them unless a person says otherwise."""

    KEYS = ("n_gpu_layers",)

    def __init__(self) -> None:
        super().__init__()
        self._units = 0
        self._usable = False
        self._why_not = ""
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        self._slider = guarded(QSlider(Qt.Orientation.Horizontal))
        self._slider.setMaximum(0)
        self._slider.setAccessibleName("GPU layers")
        self.spin = guarded(indented(QSpinBox(maximum=0)))
        self.spin.setAccessibleName("GPU layers")
        self.spin.setFixedWidth(96)
        row.addWidget(self._slider, 1)
        row.addWidget(self.spin)
        both.setFocusProxy(self.spin)
        self.add("n_gpu_layers", FieldRow("GPU layers", both, "", "n_gpu_layers", wide=True))
        self._slider.valueChanged.connect(self.spin.setValue)
        self.spin.valueChanged.connect(self._slider.setValue)
        self.spin.valueChanged.connect(self._follow)
        self._follow()

    @property
    def note(self) -> str:
        """What the number means."""
        return self.fields["n_gpu_layers"].sentence

    def set_header(self, header: GgufHeader | None) -> None:
        """Take the limits of another model, all of it on the devices."""
        self._units = 0 if header is None else header.n_layer + 1
        self._slider.setMaximum(self._units)
        self.spin.setMaximum(self._units)
        self.spin.setSuffix(f" / {self._units}" if self._units else "")
        self.spin.setValue(self._units)
        self._follow()

    def set_devices(self, count: int, why_not: str) -> None:
        """Take how many devices there are for layers, and the sentence for when there is none."""
        self._usable = count > 0
        self._why_not = why_not
        self._follow()

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the number of layers."""
        everything = self.spin.value() == self._units
        return dataclasses.replace(settings, n_gpu_layers=-1 if everything else self.spin.value())

    def take(self, settings: LoadSettings) -> None:
        """Show the number of layers of `settings`."""
        wanted = settings.n_gpu_layers
        self.spin.setValue(self._units if wanted < 0 else min(wanted, self._units))

    @Slot()
    def _follow(self) -> None:
        usable = self._usable and self._units > 0
        self._slider.setEnabled(usable)
        self.spin.setEnabled(usable)
        self.fields["n_gpu_layers"].say(self._sentence())
        self.changed.emit()

    def _sentence(self) -> str:
        if not self._usable:
            return self._why_not
        if not self._units:
            return "Choose a model to see its layers."
        on_cpu = self._units - self.spin.value()
        if on_cpu == 0:
            return "Everything on the cards, output layer too."
        return f"{on_cpu} of {self._units} stay on the CPU, which is much slower."


class Context(SettingsGroup):
    """The tokens that a conversation may hold; more need more memory."""

    KEYS = ("n_ctx",)

    def __init__(self) -> None:
        super().__init__(spacing=4)
        self._trained = 0
        self._stretched = False
        self.spin = indented(
            QSpinBox(minimum=LEAST_CTX, maximum=MOST_CTX, singleStep=1024, value=DEFAULT_CTX)
        )
        self.spin.setSuffix(" tokens")
        self.add("n_ctx", FieldRow("Context", self.spin, "", "n_ctx", wide=True))
        self._presets: list[QPushButton] = []
        presets = QWidget()
        row = QHBoxLayout(presets)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for n_ctx in PRESETS_CTX:
            preset = button(words.tokens(n_ctx), "segment", f"A context of {n_ctx} tokens")
            preset.setCheckable(True)
            preset.setProperty("n_ctx", n_ctx)
            preset.setStyleSheet("padding-left: 4px; padding-right: 4px;")
            preset.clicked.connect(self._take_preset)
            preset.setMaximumWidth(56)
            row.addWidget(shrinkable(preset), 1)
            self._presets.append(preset)
        row.addStretch()
        self.rows.addWidget(presets)
        self.spin.valueChanged.connect(self._follow)
        self._follow()

    def set_header(self, header: GgufHeader | None) -> None:
        """Take the context another model was trained on; what was set is kept if it can be."""
        self._trained = 0 if header is None else header.n_ctx_train
        self._limit()

    def set_stretched(self, stretched: bool) -> None:
        """Take whether RoPE scaling lets a context reach past the trained one."""
        if stretched != self._stretched:
            self._stretched = stretched
            self._limit()

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the context."""
        return dataclasses.replace(settings, n_ctx=self.spin.value())

    def take(self, settings: LoadSettings) -> None:
        """Show the context of `settings`, as far as the model goes."""
        self.spin.setValue(settings.n_ctx)

    def _limit(self) -> None:
        trained = self._trained or MOST_CTX
        self.spin.setMaximum(MOST_CTX if self._stretched else max(LEAST_CTX, trained))
        for preset in self._presets:
            preset.setVisible(preset.property("n_ctx") <= self.spin.maximum())
        self._follow()

    @Slot()
    def _take_preset(self) -> None:
        chosen = self.sender()
        if chosen is not None:
            self.spin.setValue(chosen.property("n_ctx"))
        self._follow()

    @Slot()
    def _follow(self) -> None:
        n_ctx = self.spin.value()
        for preset in self._presets:
            preset.setChecked(preset.property("n_ctx") == n_ctx)
        past = bool(self._trained) and n_ctx > self._trained
        self.fields["n_ctx"].say(
            f"Past the {self._trained} tokens it was trained on; RoPE scaling has to carry it."
            if past
            else ""
        )
        self.changed.emit()
