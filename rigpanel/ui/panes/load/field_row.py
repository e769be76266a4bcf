# SPDX-License-Identifier: MIT
"""What every part of the load form is made of: a row a setting, a group of rows, a fold over it."""

import itertools
from collections.abc import Iterator
from typing import ClassVar

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QWidget,
)

from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.widgets import ElidedLabel, button, column, guarded, label, named, shrinkable

EDITOR_PX = 116


def remove_button(what: str) -> QPushButton:
    """Return the small cross at the end of a row that takes the row away."""
    made = button("\N{MULTIPLICATION SIGN}", "fold", what)
    made.setAccessibleName(what)
    made.setFixedSize(24, 24)
    return made


def takes_tab(part: QWidget) -> bool:
    """Whether Tab stops at a part."""
    return bool(part.focusPolicy().value & Qt.FocusPolicy.TabFocus.value)


def tab_stops(part: QWidget | QLayout | None) -> Iterator[QWidget]:
    """Yield what Tab stops at in a part, in the order of its layouts."""
    if isinstance(part, QWidget):
        if takes_tab(part):
            yield part
        else:
            yield from tab_stops(part.layout())
    elif part is not None:
        for place in range(part.count()):
            item = part.itemAt(place)
            if item is not None:
                yield from tab_stops(item.widget() or item.layout())


class FieldRow(QWidget):
    """One setting: its name beside its editor (or above a wide one), a sentence, a refusal.

    Where a fold says the name already, it is not said again (`alone`).
    """

    def __init__(
        self,
        name: str,
        editor: QWidget,
        sentence: str,
        word: str,
        *,
        wide: bool = False,
        alone: bool = False,
    ) -> None:
        super().__init__()
        self.editor = editor
        if isinstance(editor, (QAbstractSpinBox, QComboBox)):
            guarded(editor)
        rows = column(spacing=3)
        self.setLayout(rows)
        tip = f"{sentence}\n{word} in llama.cpp" if sentence else f"{word} in llama.cpp"
        editor.setToolTip(tip)
        if isinstance(editor, QCheckBox):
            editor.setText(name)
            rows.addWidget(editor)
        elif alone:
            editor.setAccessibleName(name)
            rows.addWidget(shrinkable(editor))
        else:
            caption = named(QLabel(name), "field")
            caption.setToolTip(tip)
            editor.setAccessibleName(name)
            caption.setBuddy(editor)
            if wide:
                rows.addWidget(caption)
                rows.addWidget(shrinkable(editor))
            else:
                line = QHBoxLayout()
                line.setSpacing(8)
                line.addWidget(caption, 1)
                editor.setFixedWidth(EDITOR_PX)
                line.addWidget(editor)
                rows.addLayout(line)
        editor.setAccessibleDescription(sentence)
        self._sentence = label(sentence, "muted")
        self.refusal = label("", "error")
        rows.addWidget(self._sentence)
        rows.addWidget(self.refusal)
        self._sentence.setVisible(bool(sentence))  # not before: it would be a window of its own
        self.refusal.hide()

    def say(self, sentence: str) -> None:
        """Put another sentence under the editor."""
        self._sentence.setText(sentence)
        self._sentence.setVisible(bool(sentence))
        self.editor.setAccessibleDescription(sentence)

    @property
    def sentence(self) -> str:
        """What stands under the editor."""
        return self._sentence.text()

    def refuse(self, sentence: str) -> None:
        """Say why llama.cpp would not take the setting; empty takes it back."""
        self.refusal.setText(sentence)
        self.refusal.setVisible(bool(sentence))


class SettingsGroup(QWidget):
    """Some of the settings of a load: what stands in the editors goes into a LoadSettings."""

    KEYS: ClassVar[tuple[str, ...]]
    """The settings it is about, by their names in LoadSettings."""
    changed = Signal()
    """A person or a profile changed something."""

    def __init__(self, *, spacing: int = 12) -> None:
        super().__init__()
        self.fields: dict[str, FieldRow] = {}
        """The row of each setting, by its name in LoadSettings."""
        self.tab_after: QWidget | None = None
        """What Tab leaves for the first part of the group."""
        self.rows = column(spacing=spacing)
        self.setLayout(self.rows)

    def add(self, key: str, row: FieldRow) -> None:
        """Add the row of one setting below the others."""
        self.fields[key] = row
        self.rows.addWidget(row)

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with this group's part of them as it stands."""
        raise NotImplementedError

    def take(self, settings: LoadSettings) -> None:
        """Show this group's part of `settings`."""
        raise NotImplementedError

    def summary(self) -> str:
        """Return in a few words how the group stands, for the fold over it."""
        return ""

    def order_tabs(self) -> None:
        """Have Tab go down the group; a part made later would come last of all."""
        first = () if self.tab_after is None else (self.tab_after,)
        for here, there in itertools.pairwise((*first, *tab_stops(self))):
            QWidget.setTabOrder(here, there)


class Fold(QWidget):
    """A line that opens what is under it, and says in a few words how that stands."""

    opened = Signal()
    """It is about to be shown; there is still time to put something in."""

    def __init__(self, title: str, summary: str) -> None:
        super().__init__()
        self._group: SettingsGroup | None = None
        rows = column(spacing=4)
        self.setLayout(rows)
        line = QHBoxLayout()
        line.setSpacing(8)
        self.head = named(QCheckBox(title), "fold_head")
        self.head.setToolTip(f"Show or hide: {title}")
        self.head.setCursor(Qt.CursorShape.PointingHandCursor)
        line.addWidget(self.head)
        self.summary = named(ElidedLabel(), "muted")
        self.summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        line.addWidget(self.summary, 1)
        rows.addLayout(line)
        self._body = QWidget()
        self._held = column(margins=(0, 2, 0, 10))
        self._body.setLayout(self._held)
        self._body.hide()
        rows.addWidget(self._body)
        self.head.toggled.connect(self._show)
        self._say(summary)

    def fill(self, group: SettingsGroup) -> None:
        """Put the group in."""
        self._group = group
        self._held.addWidget(group)
        group.tab_after = self.head
        group.order_tabs()
        group.changed.connect(self.follow)
        self.follow()

    def open(self) -> None:
        """Show what is inside."""
        self.head.setChecked(True)

    @Slot()
    def follow(self) -> None:
        """Say how the group stands now."""
        if self._group is not None:
            self._say(self._group.summary())

    def _say(self, summary: str) -> None:
        self.summary.setText(summary)
        self.summary.setToolTip(summary)
        self.head.setAccessibleDescription(summary)

    @Slot(bool)
    def _show(self, shown: bool) -> None:
        if shown:
            self.opened.emit()
        self._body.setVisible(shown)
