# SPDX-License-Identifier: MIT
"""The rail: a narrow column that leads to each page."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QPolygonF, QShortcut
from PySide6.QtWidgets import QButtonGroup, QFrame, QToolButton, QVBoxLayout, QWidget

from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import named

WIDTH_PX = 72
PAGES = (("rig", "Rig"), ("fans", "Fans"), ("alerts", "Alerts"), ("settings", "Settings"))


class Rail(QFrame):
    """One button a page, an icon over a word."""

    page_requested = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "rail")
        self.setFixedWidth(WIDTH_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 8, 6, 8)
        layout.setSpacing(4)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        for number, (name, word) in enumerate(PAGES):
            button = named(QToolButton(), "rail_button")
            button.setText(word)
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(22, 22))
            button.setFixedWidth(WIDTH_PX - 12)
            button.setToolTip(f"Ctrl+{number + 1}")
            QShortcut(f"Ctrl+{number + 1}", self).activated.connect(button.click)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self._group.addButton(button, number)
            self._buttons[name] = button
            layout.addWidget(button)
        layout.addStretch(1)
        self._group.idClicked.connect(self._clicked)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Draw the icons in another theme's colours."""
        for name, button in self._buttons.items():
            icon = QIcon(_draw(name, theme.text_muted))
            icon.addPixmap(_draw(name, theme.accent), QIcon.Mode.Normal, QIcon.State.On)
            button.setIcon(icon)

    def show_page(self, name: str) -> None:
        """Mark the page that is shown."""
        self._buttons[name].setChecked(True)

    @Slot(int)
    def _clicked(self, number: int) -> None:
        self.page_requested.emit(PAGES[number][0])


def _draw(name: str, colour: str) -> QPixmap:
    pixmap = QPixmap(44, 44)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colour), 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    if name == "rig":
        for top in (4.0, 12.5):
            painter.drawRoundedRect(QRectF(2.5, top, 17, 6), 1.5, 1.5)
            painter.drawEllipse(QPointF(7, top + 3), 1.4, 1.4)
            painter.drawEllipse(QPointF(13, top + 3), 1.4, 1.4)
    elif name == "fans":
        painter.drawEllipse(QPointF(11, 11), 8.2, 8.2)
        painter.translate(11, 11)
        for _ in range(3):
            painter.drawArc(QRectF(-2.6, -7.0, 5.2, 6.4), 90 * 16, -200 * 16)
            painter.rotate(120)
        painter.drawEllipse(QPointF(0, 0), 1.4, 1.4)
    elif name == "alerts":
        triangle = (QPointF(11, 3), QPointF(20, 19), QPointF(2, 19), QPointF(11, 3))
        painter.drawPolyline(QPolygonF(triangle))
        painter.drawLine(QPointF(11, 9), QPointF(11, 13.5))
        painter.drawPoint(QPointF(11, 16.2))
    else:
        for row, knob in ((5.0, 14.0), (11.0, 7.0), (17.0, 15.0)):
            painter.drawLine(QPointF(3, row), QPointF(19, row))
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QPointF(knob, row), 1.9, 1.9)
            painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.end()
    return pixmap
