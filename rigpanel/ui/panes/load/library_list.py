# SPDX-License-Identifier: MIT
"""The models found on this machine as a list: three lines each, drawn, so that 500 cost nothing."""

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from rigpanel.fit.glance import Glance
from rigpanel.library.discovery import ModelFile
from rigpanel.ui import words
from rigpanel.ui.panes.load.library_work import Glanced
from rigpanel.ui.style import mix
from rigpanel.ui.theme import Theme

ROW_H, LINE_H, PAD = 62, 18, 8
MODEL, GLANCE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
SHORT = {
    Glance.FITS: "fits",
    Glance.LESS_CONTEXT: "less context",
    Glance.PARTLY: "partly on CPU",
    Glance.NO: "does not fit",
}
CANNOT = "cannot be loaded"
LEFT, RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
MIDDLE = Qt.AlignmentFlag.AlignVCenter
Index = QModelIndex | QPersistentModelIndex


def about(model: ModelFile) -> tuple[str, str]:
    """Return the second and third line: what it is, and where it comes from."""
    trained = f"{words.tokens(model.n_ctx_train)} context · " if model.n_ctx_train else ""
    return (
        f"{model.file_type} · {words.file_size(model.size_mib)} · {words.parameters(model.params)}",
        f"{trained}{model.source}",
    )


class ModelRows(QAbstractListModel):
    """The models whose name, path, kind or source holds every word of the filter."""

    def __init__(self) -> None:
        super().__init__()
        self._all: tuple[ModelFile, ...] = ()
        self._shown: list[ModelFile] = []
        self._glances: dict[ModelFile, Glance | str] = {}
        self._filter: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[ModelFile, ...]:
        """What the filter leaves."""
        return tuple(self._shown)

    def show_models(self, models: tuple[ModelFile, ...]) -> None:
        """Take what was found."""
        self._all = models
        there = set(models)
        self._glances = {one: how for one, how in self._glances.items() if one in there}
        self._follow()

    def set_filter(self, text: str) -> None:
        """Show only what holds every word of a text."""
        self._filter = tuple(text.lower().split())
        self._follow()

    def take(self, glanced: Glanced) -> None:
        """Take how one model goes with the rig."""
        self._glances[glanced.model] = glanced.glance
        if glanced.model in self._shown:
            index = self.index(self._shown.index(glanced.model))
            self.dataChanged.emit(index, index)

    def rowCount(self, parent: Index | None = None) -> int:
        """Return how many are shown."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a row's model, its words, or how it goes with the rig."""
        model = self._shown[index.row()]
        how = self._glances.get(model)
        if role == MODEL:
            return model
        if role == GLANCE:
            return how
        if role == Qt.ItemDataRole.ToolTipRole:
            told = how.value if isinstance(how, Glance) else how
            return "\n".join(filter(None, (str(model.path), told)))
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole}:
            told = SHORT[how] if isinstance(how, Glance) else CANNOT if how else ""
            return ", ".join(filter(None, (model.name, *about(model), told)))
        return None

    def _follow(self) -> None:
        self.beginResetModel()
        self._shown = [model for model in self._all if self._matches(model)]
        self.endResetModel()

    def _matches(self, model: ModelFile) -> bool:
        parts = (model.name, str(model.path), model.file_type, model.source, model.arch)
        text = " ".join(parts).lower()
        return all(word in text for word in self._filter)


class ModelDelegate(QStyledItemDelegate):
    """Draws one model: its name, what it is, where it comes from and whether it fits."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        """Return the height of three lines; any width will do."""
        return QSize(120, ROW_H)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw a row."""
        model: ModelFile = index.data(MODEL)
        how: Glance | str | None = index.data(GLANCE)
        room: QRect = option.rect
        state: QStyle.StateFlag = option.state
        theme = self.theme
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        if chosen or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(mix(theme.accent, theme.surface, 0.14 if chosen else 0.07)))
            painter.drawRoundedRect(room.adjusted(0, 1, 0, -1), 6, 6)
        inside = room.adjusted(PAD, 4, -PAD, -4)
        font = QFont(painter.font())
        font.setPixelSize(13)
        font.setWeight(QFont.Weight.DemiBold)
        _write(painter, font, theme.text, _line(inside, 0), model.name)
        font.setPixelSize(12)
        font.setWeight(QFont.Weight.Normal)
        what, where = about(model)
        _write(painter, font, theme.text_muted, _line(inside, 1), what)
        last = _line(inside, 2)
        if how is not None:
            word, colour = self._verdict(how)
            painter.setFont(font)
            painter.setPen(QColor(colour))
            painter.drawText(last, RIGHT | MIDDLE, word)
            last = last.adjusted(0, 0, -painter.fontMetrics().horizontalAdvance(word) - 8, 0)
        _write(painter, font, theme.text_muted, last, where)
        painter.restore()

    def _verdict(self, how: Glance | str) -> tuple[str, str]:
        if isinstance(how, str):
            return CANNOT, self.theme.hot
        colours = {Glance.FITS: self.theme.ok, Glance.NO: self.theme.hot}
        return SHORT[how], colours.get(how, self.theme.warm)


def _line(inside: QRect, number: int) -> QRect:
    return QRect(inside.left(), inside.top() + number * LINE_H, inside.width(), LINE_H)


def _write(painter: QPainter, font: QFont, colour: str, room: QRect, text: str) -> None:
    painter.setFont(font)
    painter.setPen(QColor(colour))
    cut = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, room.width())
    painter.drawText(room, LEFT | MIDDLE, cut)
