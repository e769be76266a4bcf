# SPDX-License-Identifier: MIT
"""A card's power limit: what it is, what it may be, and back to what it was."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QWidget

from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.widgets import button, field, guarded, indented


class PowerRow(QWidget):
    """One figure with two buttons; disabled where the card or the helper does not take it."""

    set_requested = Signal(float)
    """Watts."""
    reset_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: CardTold | None = None
        self.watts = guarded(indented(QSpinBox()))
        self.watts.setSuffix(" W")
        self.set = button("Set", "segment", "In force at once; without a word it goes back")
        self.back = button(
            "Put back", "segment", "Back to the limit from before it was changed here"
        )
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.watts, 1)
        row.addWidget(self.set)
        row.addWidget(self.back)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(field("Power limit", row))
        self.watts.setAccessibleName("Power limit")
        self.watts.valueChanged.connect(self._show_buttons)
        self.set.clicked.connect(self._set)
        self.back.clicked.connect(self.reset_requested)
        self._show_unknown()

    def show_told(self, told: CardTold | None, *, reachable: bool) -> None:
        """Show a card's limit; a figure that is being typed stays."""
        before, self._shown = self._shown, told
        if told is None or told.limit_range_w is None or told.limit_w is None:
            self._show_unknown()
            return
        self.setEnabled(reachable)
        low, high = (round(watts) for watts in told.limit_range_w)
        self.watts.setToolTip(f"This card takes {low} to {high} W")
        other = before is None or before.uuid != told.uuid or before.limit_w != told.limit_w
        if other or self.watts.specialValueText():
            self.watts.setSpecialValueText("")
            self.watts.setRange(low, high)
            self.watts.setValue(round(told.limit_w))
        self._show_buttons()

    def _show_unknown(self) -> None:
        """Show no figure, least of all 0 W."""
        self.watts.setSpecialValueText("not known")
        self.watts.setRange(0, 0)
        self.setEnabled(False)

    @Slot()
    def _show_buttons(self) -> None:
        told = self._shown
        now = None if told is None or told.limit_w is None else round(told.limit_w)
        self.set.setEnabled(now is not None and self.watts.value() != now)
        self.back.setEnabled(told is not None and told.limit_changed)

    @Slot()
    def _set(self) -> None:
        self.set_requested.emit(float(self.watts.value()))
