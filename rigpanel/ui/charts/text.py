# SPDX-License-Identifier: MIT
"""Text of the charts: figures with units, moments before now, and figures of one width."""

from PySide6.QtGui import QFont

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def ago(seconds: float) -> str:
    """Return a moment before now as the time axis writes it: now, 30 s or 5 min with a minus."""
    whole = round(abs(seconds))
    if whole == 0:
        return "now"
    if whole < 60:
        return f"{MINUS}{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{MINUS}{minutes}:{rest:02} min" if rest else f"{MINUS}{minutes} min"


def tabular(pixels: int, *, bold: bool = False) -> QFont:
    """Return the window's font with figures of one width, `pixels` high."""
    font = QFont()
    font.setPixelSize(pixels)
    font.setFeature(QFont.Tag("tnum"), 1)
    if bold:
        font.setWeight(QFont.Weight.DemiBold)
    return font
