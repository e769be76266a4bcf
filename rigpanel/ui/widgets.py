# SPDX-License-Identifier: MIT
"""Small parts that every pane is made of."""

from typing import TypeVar

from PySide6.QtCore import Qt
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


def shrinkable(widget: W) -> W:
    """Let a widget be narrower than all it could ever show."""
    widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return widget


def scroll_area(inside: QWidget) -> QScrollArea:
    """Return an area that scrolls `inside` up and down and keeps it in the middle."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    area.setWidget(inside)
    return area
