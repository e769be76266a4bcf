# SPDX-License-Identifier: MIT
"""Small parts that every pane is made of."""

from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QEvent, QMimeData, QObject, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

W = TypeVar("W", bound=QWidget)
S = TypeVar("S", bound=QAbstractSpinBox)

CLOSE = "\N{MULTIPLICATION SIGN}"
"""On a button that closes or takes away."""


class ElidedLabel(QLabel):
    """A label that gives way: its text is cut with dots where the row is too narrow."""

    elide = Qt.TextElideMode.ElideRight
    """Where the dots go."""

    def minimumSizeHint(self) -> QSize:
        """Ask for no width of its own."""
        return QSize(40, super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw as much of the text as there is room for."""
        painter = QPainter(self)
        room = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), self.elide, room.width())
        painter.drawText(room, self.alignment(), text)
        painter.end()


def named(widget: W, name: str) -> W:
    """Give a widget the name that the style sheet knows it by."""
    widget.setObjectName(name)
    return widget


def rename(widget: QWidget, name: str) -> None:
    """Give a widget that is already shown another look."""
    if widget.objectName() != name:
        widget.setObjectName(name)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def label(text: str, name: str = "") -> QLabel:
    """Return wrapped plain text that can be selected."""
    made = named(QLabel(text), name)
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def button(text: str, name: str = "", tip: str = "") -> QPushButton:
    """Return a push button in one of the style sheet's looks."""
    made = named(QPushButton(text), name)
    made.setToolTip(tip)
    if name in {"link", "fold"}:
        made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made


def column(*, margins: tuple[int, int, int, int] = (0, 0, 0, 0), spacing: int = 8) -> QVBoxLayout:
    """Return a column with margins and spacing on the 8 px grid."""
    made = QVBoxLayout()
    made.setContentsMargins(*margins)
    made.setSpacing(spacing)
    return made


def field(name: str, editor: QWidget | QLayout, note: QWidget | None = None) -> QWidget:
    """Return an editor with its name above it and, if there is one, a note below."""
    whole = QWidget()
    stack = column(spacing=4)
    whole.setLayout(stack)
    caption = named(QLabel(name), "field")
    stack.addWidget(caption)
    if isinstance(editor, QLayout):
        stack.addLayout(editor)
    else:
        editor.setAccessibleName(name)
        caption.setBuddy(editor)
        stack.addWidget(editor)
    if note is not None:
        stack.addWidget(note)
    return whole


def centred(inside: QWidget | QLayout, widest_px: int) -> QWidget:
    """Return a row that keeps `inside` in the middle once there is more room than it can use."""
    held = QWidget()
    if isinstance(inside, QLayout):
        held.setLayout(inside)
    else:
        stack = column()
        held.setLayout(stack)
        stack.addWidget(inside)
    held.setMaximumWidth(widest_px)
    outer = QWidget()
    row = QHBoxLayout(outer)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(held)
    return outer


def indented(spin: S) -> S:
    """Give a spin box's figure the room on its left that other fields have."""
    inside = spin.findChild(QLineEdit)
    if inside is not None:
        # WORKAROUND: a style sheet's padding does not reach the line inside a spin box (Qt 6.11).
        inside.setTextMargins(6, 0, 0, 0)
    return spin


class _WheelGuard(QObject):
    """Keeps the wheel from editors that have no focus."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the page scroll instead."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget):
            if watched.hasFocus():
                return False
            event.ignore()
            return True
        return False


def guarded(widget: W) -> W:
    """Let the wheel over an editor scroll the page, and change a value only where the focus is."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelGuard(widget))
    return widget


def shrinkable(widget: W) -> W:
    """Let a widget be narrower than all it could ever show."""
    widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return widget


def local_files(dropped: QMimeData) -> list[Path]:
    """Return the files of this machine in what is dragged or dropped."""
    return [Path(url.toLocalFile()) for url in dropped.urls() if url.isLocalFile()]


def scroll_area(inside: QWidget) -> QScrollArea:
    """Return an area that scrolls `inside` up and down and keeps it in the middle."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    area.setWidget(inside)
    return area
