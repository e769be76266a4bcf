# SPDX-License-Identifier: MIT
"""The column beside the plot: the curve in figures, presets and files."""

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.point_table import PointTable
from rigpanel.ui.panes.fans.power_row import PowerRow
from rigpanel.ui.panes.fans.smoothing_form import SmoothingForm
from rigpanel.ui.widgets import button, column, guarded, label, rename


class SidePanel(QWidget):
    """Fields and buttons; what they do is the pane's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.held = label("", "muted")
        self.fan = guarded(QComboBox())
        self.fan.setAccessibleName("Fans")
        self.presets = guarded(QComboBox())
        self.presets.setAccessibleName("Presets")
        self.table = PointTable()
        self.smoothing = SmoothingForm()
        self.power = PowerRow()
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name of your own preset")
        self.name.setAccessibleName("Name of your own preset")
        self.save = button("Save", "segment", "Keep this curve among the presets")
        self.import_ = button("&Import…", "segment", "Draw a curve from a file (Alt+I)")
        self.export = button("&Export…", "segment", "Write this curve into a file (Alt+E)")
        self.copy_to = button(
            "Copy to the others", "segment", "Draws this curve on the other cards too"
        )
        rows = column(spacing=8)
        self.setLayout(rows)
        rows.addLayout(_row(self.held, self.fan, stretched=0))
        rows.addWidget(self.presets)
        rows.addWidget(self.table, 1)
        rows.addWidget(self.smoothing)
        rows.addWidget(self.power)
        rows.addStretch(0)
        rows.addLayout(_row(self.name, self.save, stretched=0))
        rows.addLayout(_row(self.import_, self.export, self.copy_to, stretched=2))

    def fill_fans(self, count: int) -> None:
        """List a card's fans, and choose all of them."""
        self.fan.clear()
        self.fan.addItems(["All fans", *(f"Fan {fan} alone" for fan in range(count))])

    def fill_presets(self, names: list[str]) -> None:
        """List the presets below a heading that is none."""
        self.presets.clear()
        self.presets.addItem("Begin with a preset …")
        for name in names:
            self.presets.addItem(name, name)

    def show_held(self, told: CardTold | None) -> None:
        """Say who holds the card's fans."""
        held = "" if told is None else told.held_in_words
        self.held.setText(held[:1].upper() + held[1:])
        troubled = told is not None and told.failsafe is not None
        rename(self.held, "standing" if troubled else "muted")


def _row(*parts: QWidget, stretched: int) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for place, part in enumerate(parts):
        row.addWidget(part, int(place == stretched))
    return row
