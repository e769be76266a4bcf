# SPDX-License-Identifier: MIT
"""How a duty follows its curve: smoothing, the critical temperature, and the card's own control."""

from dataclasses import replace

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QGridLayout, QWidget

from rigpanel.cooling.curve import (
    AUTO_BELOW_RANGE_C,
    CRITICAL_RANGE_C,
    HOLD_RANGE_S,
    HYSTERESIS_RANGE_C,
    STEP_RANGE_PCT,
    FanCurve,
)
from rigpanel.ui.widgets import field, guarded, indented

NEVER_C = AUTO_BELOW_RANGE_C[0] - 1.0
"""Stands for no hand-back in the field of its temperature."""


class SmoothingForm(QWidget):
    """Five figures beside the points."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._filling = False
        self.hysteresis = _spin(HYSTERESIS_RANGE_C, " °C", "Cooling before the duty goes down")
        self.hold = _spin(HOLD_RANGE_S, " s", "Least time between two steps down")
        self.step = _spin(STEP_RANGE_PCT, " %", "Most that one step takes away")
        self.critical = _spin(
            CRITICAL_RANGE_C,
            " °C",
            "From here on full speed, past all smoothing; never above the card's own slowdown",
        )
        self.auto_below = _spin(
            (NEVER_C, AUTO_BELOW_RANGE_C[1]),
            " °C",
            "Below this the card controls its fans itself, and may stop them",
        )
        self.auto_below.setSpecialValueText("never")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(8)
        for place, (name, spin, wide) in enumerate(
            (
                ("Hysteresis", self.hysteresis, 2),
                ("Hold", self.hold, 2),
                ("Step down", self.step, 2),
                ("Critical", self.critical, 2),
                ("Card's own control below", self.auto_below, 4),
            )
        ):
            grid.addWidget(field(name, spin), place // 3, place % 3 * 2, 1, wide)
            spin.valueChanged.connect(self._changed)

    def show_curve(self, curve: FanCurve) -> None:
        """Show a curve's figures."""
        self._filling = True
        self.hysteresis.setValue(curve.hysteresis_c)
        self.hold.setValue(curve.hold_s)
        self.step.setValue(curve.step_down_pct)
        self.critical.setValue(curve.critical_c)
        self.auto_below.setValue(NEVER_C if curve.auto_below_c is None else curve.auto_below_c)
        self._filling = False

    def changed(self, curve: FanCurve) -> FanCurve:
        """Return the curve with the figures that stand here."""
        below_c = self.auto_below.value()
        return replace(
            curve,
            hysteresis_c=self.hysteresis.value(),
            hold_s=self.hold.value(),
            step_down_pct=self.step.value(),
            critical_c=self.critical.value(),
            auto_below_c=None if below_c <= NEVER_C else below_c,
        )

    @Slot()
    def _changed(self) -> None:
        if not self._filling:
            self.edited.emit()


def _spin(reach: tuple[float, float], unit: str, tip: str) -> QDoubleSpinBox:
    spin = guarded(indented(QDoubleSpinBox()))
    spin.setRange(*reach)
    spin.setDecimals(0)
    spin.setSuffix(unit)
    spin.setToolTip(tip)
    return spin
