# SPDX-License-Identifier: MIT
"""The form of a load: layers, context and split in view, the rest under folds."""

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QLabel, QWidget

from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.rig.readings import GpuSample
from rigpanel.ui.panes.load.adapters import Adapters
from rigpanel.ui.panes.load.devices import Devices
from rigpanel.ui.panes.load.field_row import FieldRow, Fold, SettingsGroup
from rigpanel.ui.panes.load.layers import Context, Layers
from rigpanel.ui.panes.load.refusal import Refusal
from rigpanel.ui.panes.load.rope import Rope
from rigpanel.ui.panes.load.running import Running
from rigpanel.ui.panes.load.speculation import SpeculationGroup
from rigpanel.ui.panes.load.split import Split
from rigpanel.ui.panes.load.template import Template
from rigpanel.ui.widgets import column, named


class LoadForm(QWidget):
    """Every setting of the next load but the file itself."""

    changed = Signal()
    """Something was set; the settings may be the same all the same."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: Path | None = None
        self.layers, self.context, self.split = Layers(), Context(), Split()
        self.devices, self.running, self.rope = Devices(), Running(), Rope()
        self.adapters, self.speculation = Adapters(), SpeculationGroup()
        self.template = Template()
        self.folds: dict[SettingsGroup, Fold] = {
            self.devices: Fold("Devices", self.devices),
            self.running: Fold("Memory and speed", self.running),
            self.rope: Fold("RoPE scaling", self.rope),
            self.adapters: Fold("LoRA adapters", self.adapters),
            self.speculation: Fold("Speculation", self.speculation),
            self.template: Fold("Chat template", self.template),
        }
        # Devices come after the layers, which they set to 0 where none is chosen; RoPE scaling
        # before the context, whose limit it lifts.
        self._groups: tuple[SettingsGroup, ...] = (
            self.layers,
            self.rope,
            self.context,
            self.devices,
            self.split,
            self.running,
            self.adapters,
            self.speculation,
            self.template,
        )
        rows = column(spacing=12)
        self.setLayout(rows)
        rows.addWidget(named(QLabel("Where it goes"), "section"))
        for part in (self.layers, self.context, self.split):
            rows.addWidget(part)
        more = column(spacing=2)
        for fold in self.folds.values():
            more.addWidget(fold)
        rows.addLayout(more)
        self.devices.changed.connect(self._follow_devices)
        self.rope.changed.connect(self._follow_rope)
        self.folds[self.devices].opened.connect(self._ask_for_devices)
        for group in self._groups:
            group.changed.connect(self.changed)
        self._follow_devices()

    def settings(self, model: Path) -> LoadSettings:
        """Return the settings as they stand, for the file `model`."""
        settings = LoadSettings(model)
        for group in self._groups:
            settings = group.apply(settings)
        return settings

    def take(self, settings: LoadSettings) -> None:
        """Show settings from before, as far as this model and these devices go."""
        for group in self._groups:
            group.take(settings)

    def set_header(self, header: GgufHeader | None) -> None:
        """Take the limits of a model: all layers on the cards, the context kept if it can.

        What was chosen for the model before it (adapters, draft, template, RoPE) is let go.
        """
        if header is not None and header.path != self._model:
            self._model = header.path
            for group in (self.rope, self.adapters, self.speculation, self.template):
                group.take(LoadSettings(header.path))
        self.layers.set_header(header)
        self.context.set_header(header)
        self.template.set_header(header)
        if header is not None and header.chat_template is None:
            self.folds[self.template].open()

    def set_cards(self, cards: tuple[GpuSample, ...]) -> None:
        """Take the cards a model can be laid over."""
        self.devices.set_cards(cards)

    def refuse(self, refused: Refusal | None) -> None:
        """Show at its setting why a load would be refused, or that nothing would be."""
        for group in self._groups:
            for key, row in group.fields.items():
                mine = refused is not None and refused.field == key
                row.refuse(refused.sentence if refused is not None and mine else "")
                if mine and group in self.folds:
                    self.folds[group].open()

    def field(self, key: str) -> FieldRow | None:
        """Return the row of a setting, by its name in LoadSettings."""
        return next((group.fields[key] for group in self._groups if key in group.fields), None)

    @Slot()
    def _follow_devices(self) -> None:
        targets = self.devices.targets
        self.split.set_targets(targets)
        self.layers.set_devices(len(targets), self.devices.why_none)

    @Slot()
    def _follow_rope(self) -> None:
        self.context.set_stretched(self.rope.stretches)

    @Slot()
    def _ask_for_devices(self) -> None:
        if not self.devices.asked:
            self.devices.ask()
