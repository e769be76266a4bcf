# SPDX-License-Identifier: MIT
"""How the layers are spread over several devices: the mode, a share each, the main one."""

import dataclasses

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QWidget

from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup
from rigpanel.ui.widgets import guarded, indented, shrinkable

SHARES_A_ROW = 2
SPLITS = {
    SplitMode.LAYER: ("layer", "Whole layers on each card, one after the other. The safe choice."),
    SplitMode.NONE: ("none", "The whole model on one card."),
    SplitMode.ROW: (
        "row (deprecated)",
        "Each matrix is cut across the cards. llama.cpp calls this mode deprecated.",
    ),
    SplitMode.TENSOR: (
        "tensor (experimental)",
        "The cards work on each layer together; a bridge helps. llama.cpp calls this experimental.",
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A device that can have a share: a short name for its field, a long one for its tip."""

    name: str
    label: str


class Split(SettingsGroup):
    """Nothing of it is shown where there is one device or none."""

    KEYS = ("split_mode", "tensor_split", "main_gpu")

    def __init__(self) -> None:
        super().__init__()
        self._targets: tuple[Target, ...] = ()
        self._wanted: tuple[float, ...] = ()
        self._wanted_main = 0
        """What was asked for last, also while the devices it was for are not (yet) there."""
        self.shares: list[QDoubleSpinBox] = []
        """The tensor split's fields, one a device."""
        self.mode = QComboBox()
        for mode, (name, _sentence) in SPLITS.items():
            self.mode.addItem(name, mode)
        self.add("split_mode", FieldRow("Split mode", self.mode, " ", "split_mode", wide=True))
        self._box = QWidget()
        self._grid = QGridLayout(self._box)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(8)
        self.add("tensor_split", FieldRow("Tensor split", self._box, "", "tensor_split", wide=True))
        self.main = QComboBox()
        self.add("main_gpu", FieldRow("Main GPU", self.main, "", "main_gpu", wide=True))
        self.mode.currentIndexChanged.connect(self._follow)
        self.main.activated.connect(self._want_main)
        self._follow()

    @property
    def _chosen_mode(self) -> SplitMode:
        mode: SplitMode = self.mode.currentData()
        return mode

    def set_targets(self, targets: tuple[Target, ...]) -> None:
        """Take the devices a model can be laid over; shares and main are kept by place."""
        if targets == self._targets:
            return
        self._targets = targets
        for old in self.shares:
            self._grid.removeWidget(old)
            old.deleteLater()
        self.shares = []
        self.main.clear()
        for place, target in enumerate(targets):
            spin = QDoubleSpinBox(maximum=1000.0, value=1.0, singleStep=0.1, decimals=2)
            spin.setPrefix(f"{target.name}:  ")
            spin.setAccessibleName(f"Tensor split of {target.label}")
            spin.setToolTip(
                f"Share of {target.label}; 1 for each leaves it to llama.cpp\n"
                "tensor_split in llama.cpp"
            )
            spin.valueChanged.connect(self._want_shares)
            self._grid.addWidget(
                shrinkable(guarded(indented(spin))), place // SHARES_A_ROW, place % SHARES_A_ROW
            )
            self.shares.append(spin)
            self.main.addItem(target.label)
        self.order_tabs()
        if self.shares:
            self._box.setFocusProxy(self.shares[0])
        self._show_wanted()

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the split; shares of 1 each are left to llama.cpp."""
        mode = self._chosen_mode
        shares = tuple(spin.value() for spin in self.shares)
        counted = len(set(shares)) > 1 or shares[:1] != (1.0,)
        shared = mode is not SplitMode.NONE and len(shares) > 1 and counted
        main = self.main.currentIndex() if self._has_main else 0
        return dataclasses.replace(
            settings,
            split_mode=mode,
            tensor_split=shares if shared else (),
            main_gpu=max(0, main),
        )

    def set_shares(self, shares: tuple[float, ...]) -> None:
        """Take shares, one a device; empty leaves them to llama.cpp."""
        self._wanted = shares
        self._show_wanted()

    def take(self, settings: LoadSettings) -> None:
        """Show the split of `settings`, over as many devices as there are."""
        self._wanted = settings.tensor_split
        self._wanted_main = settings.main_gpu
        self.mode.setCurrentIndex(self.mode.findData(settings.split_mode))
        self._show_wanted()

    @property
    def _has_main(self) -> bool:
        """Main GPU means nothing to the modes layer and tensor."""
        several = len(self._targets) > 1
        return several and self._chosen_mode in {SplitMode.NONE, SplitMode.ROW}

    def _show_wanted(self) -> None:
        """Show the wanted shares; where they are not of as many devices, all are equal."""
        fits = len(self._wanted) == len(self.shares)
        for place, spin in enumerate(self.shares):
            with QSignalBlocker(spin):
                spin.setValue(self._wanted[place] if fits else 1.0)
        if self._wanted_main < len(self._targets):
            self.main.setCurrentIndex(self._wanted_main)
        self._follow()

    @Slot()
    def _want_shares(self) -> None:
        self._wanted = tuple(spin.value() for spin in self.shares)
        self._follow()

    @Slot(int)
    def _want_main(self, place: int) -> None:
        self._wanted_main = place
        self._follow()

    @Slot()
    def _follow(self) -> None:
        mode = self._chosen_mode
        several = len(self._targets) > 1
        self.setVisible(several)
        self.fields["split_mode"].say(SPLITS[mode][1])
        self.fields["tensor_split"].setVisible(several and mode is not SplitMode.NONE)
        self.fields["main_gpu"].setVisible(self._has_main)
        self.fields["main_gpu"].say(
            "The card that holds the model."
            if mode is SplitMode.NONE
            else "The card that keeps the KV cache and what lies between the layers."
        )
        self.changed.emit()
