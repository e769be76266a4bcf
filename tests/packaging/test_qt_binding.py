# SPDX-License-Identifier: MIT
"""The installed Qt binding can be called for as long as the panel runs."""

import sys

from PySide6.QtGui import QImage, QPainter, QPen
from pytestqt.qtbot import QtBot

CALLS = 1000


def test_calls_do_not_use_up_none(qtbot: QtBot) -> None:
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    pen = QPen()
    before = sys.getrefcount(None)
    for _ in range(CALLS):
        painter.setPen(pen)
    lost = before - sys.getrefcount(None)
    painter.end()
    assert lost < CALLS // 10, "PySide6 gives None away; pyproject.toml says which versions do"
