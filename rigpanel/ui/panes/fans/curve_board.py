# SPDX-License-Identifier: MIT
"""The plot that a curve is drawn on, with its tools and what the curve would have done."""

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QSizePolicy, QWidget

from rigpanel.ui.panes.fans.curve_plot import CurvePlot
from rigpanel.ui.widgets import button, column, label

LEAST_PLOT_PX = 220
PLOT_MARGIN_PX = 16
"""What a plot leaves free at its right."""
HINT = "Drag a point. Double-click adds one, Delete removes it, the arrow keys move it."
HINT_FROM_PX = 700
"""A narrower board has no line free for the hint."""


class CurveBoard(QWidget):
    """Everything about the curve that is drawn, not typed."""

    def __init__(self, plot: CurvePlot, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = plot
        self.plot.setMinimumHeight(LEAST_PLOT_PX)
        # As high as there is room for, not as pyqtgraph would like to be: that would scroll.
        self.plot.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.undo = button("Undo", "segment", "Ctrl+Z")
        self.redo = button("Redo", "segment", "Ctrl+Shift+Z")
        self.hint = label("", "muted")
        self.snap = QCheckBox("Whole degrees")
        self.snap.setChecked(True)
        self.preview = label("", "muted")
        rows = column(spacing=6)
        self.setLayout(rows)
        rows.addWidget(self.plot, 1)
        tools = QHBoxLayout()
        tools.setContentsMargins(0, 0, PLOT_MARGIN_PX, 0)
        tools.setSpacing(6)
        tools.addWidget(self.undo)
        tools.addWidget(self.redo)
        tools.addWidget(self.hint, 1)
        tools.addWidget(self.snap)
        rows.addLayout(tools)
        rows.addWidget(self.preview)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the hint out where it would take several lines."""
        super().resizeEvent(event)
        self.hint.setText(HINT if self.width() >= HINT_FROM_PX else "")
