# SPDX-License-Identifier: MIT
"""RoPE scaling: how a context past the trained one is reached."""

import dataclasses

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox

from rigpanel.fit.load_settings import LoadSettings, RopeScaling
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup
from rigpanel.ui.widgets import indented

KINDS = {
    RopeScaling.MODEL: ("file", "As the file says."),
    RopeScaling.NONE: ("none", "No scaling, whatever the file says."),
    RopeScaling.LINEAR: ("linear", "Positions are squeezed evenly; scale 0.5 doubles the reach."),
    RopeScaling.YARN: ("yarn", "Squeezed by frequency; keeps more of what was learnt."),
    RopeScaling.LONGROPE: ("longrope", "By factors in the file; only for models that bring them."),
}
MOST_BASE = 1e9


class Rope(SettingsGroup):
    """Kind, base and scale; left alone it is as the file says."""

    KEYS = ("rope_scaling", "rope_freq_base", "rope_freq_scale")

    def __init__(self) -> None:
        super().__init__()
        self.kind = QComboBox()
        for kind, (name, _sentence) in KINDS.items():
            self.kind.addItem(name, kind)
        self.base = indented(QDoubleSpinBox(maximum=MOST_BASE, decimals=0, singleStep=10_000))
        self.scale = indented(QDoubleSpinBox(maximum=64.0, decimals=4, singleStep=0.05))
        for spin in (self.base, self.scale):
            spin.setSpecialValueText("as the file")
            spin.valueChanged.connect(self._follow)
        self.kind.currentIndexChanged.connect(self._follow)
        self.add("rope_scaling", FieldRow("Scaling", self.kind, " ", "rope_scaling_type"))
        self.add(
            "rope_freq_base",
            FieldRow("Base", self.base, "A larger base stretches the context.", "rope_freq_base"),
        )
        self.add(
            "rope_freq_scale",
            FieldRow("Scale", self.scale, "0.5 doubles the context's reach.", "rope_freq_scale"),
        )
        self._follow()

    @property
    def _kind(self) -> RopeScaling:
        kind: RopeScaling = self.kind.currentData()
        return kind

    @property
    def stretches(self) -> bool:
        """Whether a person has asked for more than the trained context."""
        scaled = self._kind not in {RopeScaling.MODEL, RopeScaling.NONE}
        return scaled or self.base.value() > 0 or self.scale.value() > 0

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the scaling."""
        return dataclasses.replace(
            settings,
            rope_scaling=self._kind,
            rope_freq_base=self.base.value(),
            rope_freq_scale=self.scale.value(),
        )

    def take(self, settings: LoadSettings) -> None:
        """Show the scaling of `settings`."""
        self.kind.setCurrentIndex(self.kind.findData(settings.rope_scaling))
        self.base.setValue(settings.rope_freq_base)
        self.scale.setValue(settings.rope_freq_scale)

    def summary(self) -> str:
        """Return the kind of scaling, and the figures that were set."""
        parts = ["as the file says" if self._kind is RopeScaling.MODEL else self._kind.value]
        if self.base.value() > 0:
            parts.append(f"base {self.base.value():.0f}")
        if self.scale.value() > 0:
            parts.append(f"scale {self.scale.value():g}")
        return " · ".join(parts)

    @Slot()
    def _follow(self) -> None:
        self.fields["rope_scaling"].say(KINDS[self._kind][1])
        self.changed.emit()
