# SPDX-License-Identifier: MIT
"""The form of a load: layers, context and split in view, the rest under folds."""

from functools import partial
from pathlib import Path
from typing import TypeVar, cast

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

FOLDS: tuple[tuple[type[SettingsGroup], str, str], ...] = (
    (Devices, "Devices", ""),
    (Running, "Memory and speed", "KV f16"),
    (Rope, "RoPE scaling", "as the file says"),
    (Adapters, "LoRA adapters", "none"),
    (SpeculationGroup, "Speculation", "none"),
    (Template, "Chat template", "the file's own"),
)
"""What is under each fold, its title, and how it stands while it is left alone."""
ORDER = (Layers, Rope, Context, Devices, Split, Running, Adapters, SpeculationGroup, Template)
"""How settings are taken and given: RoPE scaling lifts the context's limit, no device no layers."""
OF_ONE_MODEL = (Rope, Adapters, SpeculationGroup, Template)
G = TypeVar("G", bound=SettingsGroup)


class LoadForm(QWidget):
    """Every setting of the next load but the file itself.

    What is under a fold is made when it is first needed: the window is there sooner for it.
    """

    changed = Signal()
    """Something was set; the settings may be the same all the same."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: Path | None = None
        self._header: GgufHeader | None = None
        self._made: dict[type[SettingsGroup], SettingsGroup] = {}
        rows = column(spacing=12)
        self.setLayout(rows)
        rows.addWidget(named(QLabel("Where it goes"), "section"))
        self.layers, self.context, self.split = Layers(), Context(), Split()
        for part in (self.layers, self.context, self.split):
            self._add(part)
            rows.addWidget(part)
        more = column(spacing=2)
        self.folds = {kind: Fold(title, summary) for kind, title, summary in FOLDS}
        for kind, fold in self.folds.items():
            more.addWidget(fold)
            fold.opened.connect(partial(self._group, kind))
        rows.addLayout(more)
        self.folds[Devices].opened.connect(self._ask_for_devices)
        self.devices.changed.connect(self._follow_devices)
        self._follow_devices()

    @property
    def devices(self) -> Devices:
        """Which devices are used, and the servers that lend some."""
        return self._group(Devices)

    @property
    def running(self) -> Running:
        """Caches, batches and threads."""
        return self._group(Running)

    @property
    def rope(self) -> Rope:
        """How a context past the trained one is reached."""
        return self._group(Rope)

    @property
    def adapters(self) -> Adapters:
        """The LoRA adapters."""
        return self._group(Adapters)

    @property
    def speculation(self) -> SpeculationGroup:
        """Where guesses come from."""
        return self._group(SpeculationGroup)

    @property
    def template(self) -> Template:
        """The chat template."""
        return self._group(Template)

    def settings(self, model: Path) -> LoadSettings:
        """Return the settings as they stand, for the file `model`."""
        settings = LoadSettings(model)
        for kind in ORDER:
            if kind in self._made:  # What was never needed is as llama.cpp has it.
                settings = self._made[kind].apply(settings)
        return settings

    def take(self, settings: LoadSettings) -> None:
        """Show settings from before, as far as this model and these devices go."""
        plain = LoadSettings(settings.model)
        for kind in ORDER:
            told = any(getattr(settings, key) != getattr(plain, key) for key in kind.KEYS)
            if told or kind in self._made:
                self._group(kind).take(settings)

    def set_header(self, header: GgufHeader | None) -> None:
        """Take the limits of a model: all layers on the cards, the context kept if it can.

        What was chosen for the model before it (adapters, draft, template, RoPE) is let go.
        """
        self._header = header
        if header is not None and header.path != self._model:
            self._model = header.path
            for kind in OF_ONE_MODEL:
                if kind in self._made:
                    self._made[kind].take(LoadSettings(header.path))
        self.layers.set_header(header)
        self.context.set_header(header)
        if header is not None and header.chat_template is None:
            self.folds[Template].open()
        if Template in self._made:
            self.template.set_header(header)

    def set_cards(self, cards: tuple[GpuSample, ...]) -> None:
        """Take the cards a model can be laid over."""
        self.devices.set_cards(cards)

    def refuse(self, refused: Refusal | None) -> None:
        """Show at its setting why a load would be refused, or that nothing would be."""
        for kind, group in self._made.items():
            for key, row in group.fields.items():
                mine = refused is not None and refused.field == key
                row.refuse(refused.sentence if refused is not None and mine else "")
                if mine and kind in self.folds:
                    self.folds[kind].open()

    def field(self, key: str) -> FieldRow | None:
        """Return the row of a setting, by its name in LoadSettings; None before it was needed."""
        rows = (group.fields[key] for group in self._made.values() if key in group.fields)
        return next(rows, None)

    def _group(self, kind: type[G]) -> G:
        """Return a group, made and put under its fold at the first call."""
        if kind not in self._made:
            group = kind()
            self.folds[kind].fill(group)
            self._add(group)
            if isinstance(group, Rope):
                group.changed.connect(self._follow_rope)
            if isinstance(group, Template):
                group.set_header(self._header)
        return cast("G", self._made[kind])

    def _add(self, group: SettingsGroup) -> None:
        self._made[type(group)] = group
        group.changed.connect(self.changed)

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
