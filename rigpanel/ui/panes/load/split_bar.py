# SPDX-License-Identifier: MIT
"""How the layers are divided between the cards, with a handle to drag at each border."""

import itertools

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from rigpanel.ui.style import mix
from rigpanel.ui.theme import Theme

BAR_H, GRIP_W = 24, 12
RADIUS = 4.0
FAR = 5
"""Steps of the page keys, and of the arrows with Shift."""
KEYS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_PageDown: -FAR,
    Qt.Key.Key_PageUp: FAR,
}


class Grip(QWidget):
    """The handle between two cards: dragged, or moved with the arrow keys."""

    dragged_to = Signal(int, float)
    """Which border it is, and where it was dragged to, in the bar's own pixels."""
    stepped = Signal(int, int)
    """Which border it is, and by how many parts it was moved."""
    given_back = Signal()
    """The division is to be llama.cpp's own again."""

    def __init__(self, border: int, parent: QWidget) -> None:
        super().__init__(parent)
        self._border = border
        self.colour = ""
        self.held = False
        """Whether a person has hold of it."""
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(
            "Drag, or move with the arrow keys, to give one card more of the model\n"
            "Home or a double click leaves it to llama.cpp"
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold."""
        self.held = event.button() is Qt.MouseButton.LeftButton

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer."""
        if self.held:
            self.dragged_to.emit(self._border, self.mapToParent(event.position()).x())

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go."""
        self.held = False
        self.update()

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        """Leave the division to llama.cpp."""
        self.given_back.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move by one part, or further."""
        step = KEYS.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Home:
            self.given_back.emit()
        elif step is None:
            super().keyPressEvent(event)
        else:
            far = abs(step) == 1 and event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.stepped.emit(self._border, step * FAR if far else step)

    def event(self, event: QEvent) -> bool:
        """Show whether the pointer or the focus is on it."""
        if event.type() in {
            QEvent.Type.Enter,
            QEvent.Type.Leave,
            QEvent.Type.FocusIn,
            QEvent.Type.FocusOut,
        }:
            self.update()
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw a rounded post, wider where it is about to be used."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        wide = 6.0 if self.held or self.hasFocus() or self.underMouse() else 4.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.colour))
        painter.drawRoundedRect(
            QRectF((self.width() - wide) / 2, 1, wide, self.height() - 2), wide / 2, wide / 2
        )
        painter.end()


class SplitBar(QWidget):
    """A piece a card, as wide as its share; borders are moved by whole parts."""

    divided = Signal(object)
    """A person divided it otherwise: a tuple of parts, one a card; empty leaves it to llama.cpp."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._labels: tuple[str, ...] = ()
        self._colours: tuple[str, ...] = ()
        self.parts: tuple[int, ...] = ()
        """Parts of each card: layers, the output layer counted as one, or hundredths."""
        self._unit = ""
        self.grips: list[Grip] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(BAR_H)

    def sizeHint(self) -> QSize:
        """Return its height; any width will do."""
        return QSize(160, BAR_H)

    def show_parts(
        self,
        theme: Theme,
        labels: tuple[str, ...],
        colours: tuple[str, ...],
        parts: tuple[int, ...],
        unit: str,
    ) -> None:
        """Show how it is divided now; what a person has hold of stays where it is."""
        self._theme = theme
        self._labels, self._colours = labels, colours
        if len(self.grips) != len(labels) - 1:
            self._make_grips(len(labels) - 1)
        if not any(grip.held for grip in self.grips):
            self.parts, self._unit = parts, unit
        for grip in self.grips:
            grip.colour = theme.text
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the handles where their borders are now."""
        super().resizeEvent(event)
        self._place()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw a piece a card with its number of parts."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = self.font()
        font.setPixelSize(11)
        painter.setFont(font)
        edges = [0.0, *self._borders(), float(self.width())]
        for (left, right), colour, part in zip(
            itertools.pairwise(edges), self._colours, self.parts, strict=False
        ):
            piece = QRectF(left, 3, right - left, BAR_H - 6)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(mix(colour, self._theme.surface, 0.38)))
            painter.drawRoundedRect(piece, RADIUS, RADIUS)
            text = f"{part}{self._unit}"
            if painter.fontMetrics().horizontalAdvance(text) + GRIP_W < piece.width():
                painter.setPen(QColor(self._theme.text))
                painter.drawText(piece, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()

    def _make_grips(self, count: int) -> None:
        for old in self.grips:
            old.hide()
            old.deleteLater()
        self.grips = []
        for border in range(max(count, 0)):
            grip = Grip(border, self)
            grip.dragged_to.connect(self._drag)
            grip.stepped.connect(self._step)
            grip.given_back.connect(self._give_back)
            grip.show()
            self.grips.append(grip)

    def _borders(self) -> list[float]:
        whole = sum(self.parts)
        if whole <= 0:
            return []
        sums = list(itertools.accumulate(self.parts))[:-1]
        return [self.width() * done / whole for done in sums]

    def _place(self) -> None:
        for place, (grip, at) in enumerate(zip(self.grips, self._borders(), strict=False)):
            left = min(max(at - GRIP_W / 2, 0.0), self.width() - GRIP_W)
            grip.setGeometry(round(left), 0, GRIP_W, BAR_H)
            here, there = self._labels[place], self._labels[place + 1]
            grip.setAccessibleName(f"Split between {here} and {there}")
            grip.setAccessibleDescription(
                f"{self.parts[place]}{self._unit} and {self.parts[place + 1]}{self._unit}"
            )
            grip.update()
        self.update()

    @Slot(int, float)
    def _drag(self, border: int, at: float) -> None:
        whole = sum(self.parts)
        before = sum(self.parts[: border + 1])
        self._step(border, round(at / max(self.width(), 1) * whole) - before)

    @Slot(int, int)
    def _step(self, border: int, by: int) -> None:
        parts = list(self.parts)
        by = max(-parts[border], min(by, parts[border + 1]))
        if by:
            parts[border] += by
            parts[border + 1] -= by
            self.parts = tuple(parts)
            self._place()
            self.divided.emit(self.parts)

    @Slot()
    def _give_back(self) -> None:
        self.divided.emit(())
