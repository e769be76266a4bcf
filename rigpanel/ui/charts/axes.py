# SPDX-License-Identifier: MIT
"""Axes whose labels can be read: units on every one, and none left out at the ends."""

import pyqtgraph as pg
from PySide6.QtCore import QRectF

from rigpanel.ui.charts.text import ago

END_X_PX, END_Y_PX = 20, 9
TIME_TICK_S = {60.0: 15.0, 300.0: 60.0, 900.0: 180.0, 3600.0: 900.0}


class EndedAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph carries no types
    """An axis that also names the ticks at its two ends."""

    def boundingRect(self) -> QRectF:
        """Reach over both ends: pyqtgraph leaves out labels that do, once there is a grid."""
        return QRectF(super().boundingRect()).adjusted(-END_X_PX, -END_Y_PX, END_X_PX, END_Y_PX)


class UnitAxis(EndedAxis):
    """An axis whose labels carry their unit and whose ticks stand at whole steps."""

    def __init__(self, orientation: str, unit: str, step: float) -> None:
        super().__init__(orientation)
        self._unit = unit
        self.set_step(step)

    def set_step(self, step: float) -> None:
        """Put a tick at every whole multiple of `step`."""
        self.setTickSpacing(levels=[(step, 0.0)])

    def tickStrings(self, values: list[float], _scale: float, _spacing: float) -> list[str]:
        """Return the values with their unit."""
        return [f"{value:.0f} {self._unit}" for value in values]


class TimeAxis(EndedAxis):
    """An axis of seconds before now, which is its right end."""

    def tickValues(self, low: float, high: float, _size: float) -> list[tuple[float, list[float]]]:
        """Return ticks at whole steps back from now, few enough to be read."""
        span_s = high - low
        step_s = TIME_TICK_S.get(round(span_s, 3), span_s / 4)
        count = round(span_s / step_s)
        return [(step_s, [-step_s * place for place in range(count + 1)])]

    def tickStrings(self, values: list[float], _scale: float, _spacing: float) -> list[str]:
        """Return the ticks in words."""
        return [ago(value) for value in values]
