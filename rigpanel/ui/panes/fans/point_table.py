# SPDX-License-Identifier: MIT
"""A curve's points as figures to be typed."""

import math

from PySide6.QtCore import QItemSelectionModel, QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from rigpanel.cooling.editing import CurveEditor
from rigpanel.ui.charts.text import tabular
from rigpanel.ui.widgets import named

ROW_PX = 25
LEAST_PX, MOST_PX = 112, 440
"""Height: four rows at least, all that a curve may have at most."""


class PointTable(QTableWidget):
    """One row a point: temperature and duty; what cannot be is bent to fit, as on the plot."""

    edited = Signal()
    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        named(self, "points")
        self._editor: CurveEditor | None = None
        self._filling = False
        self.setHorizontalHeaderLabels(["°C", "%"])
        self.setAccessibleName("Points of the curve")
        self.setMinimumHeight(LEAST_PX)
        self.setMaximumHeight(MOST_PX)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setHighlightSections(False)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setFont(tabular(13))
        self.setFrameShape(QTableWidget.Shape.NoFrame)
        self.setShowGrid(False)
        self.itemChanged.connect(self._typed)
        self.currentCellChanged.connect(self._moved_to)

    def sizeHint(self) -> QSize:
        """Ask for the least: whatever room there is comes by itself."""
        return QSize(super().sizeHint().width(), LEAST_PX)

    def show_editor(self, editor: CurveEditor, chosen: int) -> None:
        """Show a curve's points, one of them chosen."""
        self._editor = editor
        self._filling = True
        self.setRowCount(len(editor.points))
        for row, point in enumerate(editor.points):
            for place, value in enumerate(point):
                item = self.item(row, place)
                if item is None:
                    item = QTableWidgetItem()
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                    self.setItem(row, place, item)
                if item.text() != f"{value:g}":
                    item.setText(f"{value:g}")
        if self.currentRow() != chosen:
            self.setCurrentCell(
                chosen,
                max(self.currentColumn(), 0),
                QItemSelectionModel.SelectionFlag.ClearAndSelect
                | QItemSelectionModel.SelectionFlag.Rows,
            )
        self._filling = False

    @Slot(QTableWidgetItem)
    def _typed(self, item: QTableWidgetItem) -> None:
        if self._filling or self._editor is None:
            return
        point = list(self._editor.points[item.row()])
        try:
            value = float(item.text().replace(",", ".").rstrip(" °C%"))
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            point[item.column()] = value
            self._editor.move(item.row(), *point)
        self.show_editor(self._editor, item.row())
        self.edited.emit()

    @Slot(int, int, int, int)
    def _moved_to(self, row: int, _column: int, before: int, _before_column: int) -> None:
        if not self._filling and row not in {-1, before}:
            self.chosen.emit(row)
