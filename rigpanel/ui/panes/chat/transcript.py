# SPDX-License-Identifier: MIT
"""The messages of a conversation under each other; only those near the view are laid out."""

import bisect
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QPushButton, QWidget

from rigpanel.ui.widgets import button, named

if TYPE_CHECKING:
    from rigpanel.ui.panes.chat.message_view import MessageView

COLUMN_PX = 860
"""Lines longer than this are hard to read."""
SIDE_PX = 16
LEAST_PX = 24
"""It gives way to what has gone wrong, in a low window."""
GAP_PX = 12
NEAR_END_PX = 40
AHEAD_PX = 300
"""Messages this far above and below the view are laid out before they are seen."""
MOST_ROUNDS = 12
MOST_AT_ONCE = 1
"""So many messages are laid out, then Qt has its turn: a reply takes some 15 ms."""


class Transcript(QAbstractScrollArea):
    """Scrolls messages; what is seen stays where it is when heights above become known."""

    at_end_changed = Signal(bool)

    def __init__(
        self,
        make: "Callable[[int], MessageView]",
        guess: Callable[[int, int], int],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._make = make
        self._guess = guess
        """The height a message will about have, by its key and the width."""
        self._keys: list[int] = []
        self._place: dict[int, int] = {}
        self._heights: dict[int, int] = {}
        """Of those that were laid out at this width."""
        self._rows: list[int] | None = None
        """What each takes with the gap below it, known or guessed; None is not reckoned yet."""
        self._tops: list[int] = [0]
        self._width = 0
        self._views: dict[int, MessageView] = {}
        self._pinned: int | None = None
        self._at_end = True
        self._anchor = (0, 0)
        """Place of the message at the top of the view, and how much of it is above."""
        self._arranging = False
        self._new = False
        """Whether a view has been made that Tab does not find in its place yet."""
        named(self, "transcript")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(LEAST_PX)
        self.setAccessibleName("Conversation")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setAutoFillBackground(False)
        bar = self.verticalScrollBar()
        bar.setSingleStep(40)
        bar.valueChanged.connect(self._scrolled)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._arrange)
        self.jump_button: QPushButton = button("Jump to the end", "jump", "Follow the reply (End)")
        self.jump_button.setParent(self)
        self.jump_button.clicked.connect(self.to_end)
        self.jump_button.hide()

    @property
    def at_end(self) -> bool:
        """Whether the end is in view, and stays there while text comes."""
        return self._at_end

    @property
    def settled(self) -> bool:
        """Whether everything near the view is laid out."""
        drawn = not any(view.browser.unfinished for view in self._views.values())
        return drawn and not self._soon.isActive()

    @property
    def views(self) -> "list[MessageView]":
        """The messages that are laid out now, oldest first."""
        return [self._views[key] for key in self._keys if key in self._views]

    @property
    def last(self) -> int | None:
        """Key of the last message; None where there is none."""
        return self._keys[-1] if self._keys else None

    def show_messages(self, keys: list[int]) -> None:
        """Show other messages, from their end on."""
        staying = set(keys)
        for key in [key for key in self._views if key not in staying]:
            self._drop(key)
        self._heights = {k: h for k, h in self._heights.items() if k in staying}
        self._rows = None
        self._keys = list(keys)
        self._place = {key: place for place, key in enumerate(self._keys)}
        self._pinned = self.last
        self._follow(at_end=True)
        self._arrange()

    def forget(self) -> None:
        """Let go of every message."""
        for key in list(self._views):
            self._drop(key)
        self._heights, self._rows = {}, None
        self._keys, self._place = [], {}

    def add(self, key: int) -> None:
        """Add a message at the end and go there."""
        self._place[key] = len(self._keys)
        self._keys.append(key)
        if self._rows is not None:
            self._rows.append(self._row(key))
        self._pinned = key
        self._follow(at_end=True)
        self._arrange()

    def view(self, key: int) -> "MessageView | None":
        """Return a message's view, if it is laid out."""
        return self._views.get(key)

    @Slot(int)
    def refit(self, key: int) -> None:
        """Take up another height of a message, soon."""
        if key in self._place and not self._arranging:
            self._heights.pop(key, None)
            self._soon.start()

    def refit_now(self, key: int) -> None:
        """Take up another height of a message at once, in the frame that shows it."""
        self._heights.pop(key, None)
        self._arrange()

    def reveal(self, key: int) -> "MessageView":
        """Bring a message's beginning into view and return its view."""
        self._follow(at_end=False)
        self._anchor = (self._place[key], -GAP_PX)
        self._arrange()
        return self._views[key]

    def reveal_rect(self, key: int, rect: QRect) -> None:
        """Bring a place in a message into view, if it is not; `rect` is in the message."""
        top = self._tops[self._place[key]] + rect.top()
        bar, height = self.verticalScrollBar(), self.viewport().height()
        if not bar.value() + GAP_PX <= top <= bar.value() + height - rect.height() - GAP_PX:
            self._follow(at_end=False)
            self._set_anchor(max(0, top - height // 3))
            self._arrange()

    @Slot()
    def to_end(self) -> None:
        """Go to the end and stay there."""
        self._follow(at_end=True)
        self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Scroll by keys."""
        if event.key() == Qt.Key.Key_Home:
            self._follow(at_end=False)
            self._anchor = (0, 0)
            self._arrange()
        elif event.key() == Qt.Key.Key_End:
            self.to_end()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew at another width; what is read stays."""
        super().resizeEvent(event)
        if self._column_width() != self._width:
            self._width = self._column_width()
            self._heights, self._rows = {}, None
        self._arrange()

    def viewportEvent(self, event: QEvent) -> bool:
        """Pass the viewport's events on, but for layouts it has no part in."""
        if event.type() == QEvent.Type.LayoutRequest:
            return False
        return super().viewportEvent(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Do nothing here: `_arrange` moves the messages."""

    def _column_width(self) -> int:
        # By the whole width: a scroll bar that comes and goes moves no line of text.
        return max(40, min(self.width(), COLUMN_PX) - 2 * SIDE_PX)

    def _follow(self, *, at_end: bool) -> None:
        if at_end != self._at_end:
            self._at_end = at_end
            self.at_end_changed.emit(at_end)

    @Slot(int)
    def _scrolled(self, value: int) -> None:
        if self._arranging:
            return
        bar = self.verticalScrollBar()
        self._follow(at_end=value >= bar.maximum() - NEAR_END_PX)
        self._set_anchor(value)
        self._arrange(settle_end=False)

    def _set_anchor(self, top: int) -> None:
        place = max(0, bisect.bisect_right(self._tops, top) - 1)
        place = min(place, max(0, len(self._keys) - 1))
        self._anchor = (place, top - self._tops[place])

    def _measure_all(self) -> None:
        if self._rows is None:
            self._rows = [self._row(key) for key in self._keys]
        self._tops = list(itertools.accumulate(self._rows, initial=GAP_PX))

    def _row(self, key: int) -> int:
        height = self._heights.get(key)
        return GAP_PX + (self._guess(key, self._width) if height is None else height)

    def _measure(self, key: int, view: "MessageView") -> None:
        height = self._heights[key] = view.height_at(self._width)
        if self._rows is not None:
            self._rows[self._place[key]] = GAP_PX + height

    @Slot()
    def _arrange(self, *, settle_end: bool = True) -> None:
        """Lay out what is near the view, and put everything in its place."""
        if self._arranging or not self._width:
            return
        self._arranging = True
        self._soon.stop()
        try:
            top, low, high = self._lay_out_near(settle_end=settle_end)
            self._move(top, low, high)
        finally:
            self._arranging = False
        self._place_jump()

    def _lay_out_near(self, *, settle_end: bool) -> tuple[int, int, int]:
        """Return the view's top, and the first and last place that are laid out."""
        height = self.viewport().height()
        low = high = top = made = 0
        missing: list[int] = []
        # While it is scrolled what comes into view must have its height, or it would jump.
        most = MOST_AT_ONCE if settle_end else len(self._keys)
        for _ in range(MOST_ROUNDS):
            self._measure_all()
            end = max(0, self._tops[-1] - height)
            if self._at_end and settle_end:
                top = end
            else:
                place, above = self._anchor
                top = min(max(0, self._tops[min(place, len(self._keys))] + above), end)
            low = max(0, bisect.bisect_right(self._tops, top - AHEAD_PX) - 1)
            high = min(len(self._keys), bisect.bisect_left(self._tops, top + height + AHEAD_PX))
            missing = [
                key
                for key in self._wanted(low, high)
                if key not in self._heights or key not in self._views
            ]
            if not missing or made >= most:
                break
            for key in missing:
                if key not in self._views:
                    if made >= most:
                        continue
                    made += 1
                view = self._made(key)
                if key not in self._heights:
                    self._measure(key, view)
        if missing:
            self._soon.start()
        return top, low, high

    def _wanted(self, low: int, high: int) -> list[int]:
        """Return what is to be laid out, what the reader looks at first."""
        near = self._keys[low:high]
        if self._at_end:
            near.reverse()
        elif near:
            at = self._keys[min(self._anchor[0], len(self._keys) - 1)]
            near.sort(key=lambda key: self._place[key] < self._place[at])
        if self._pinned in self._place and self._pinned not in near:
            near.append(self._pinned)
        return near

    def _made(self, key: int) -> "MessageView":
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._make(key)
            view.setParent(self.viewport())
            view.resized.connect(self.refit)
            view.show()
            self._new = True
        return view

    def _move(self, top: int, low: int, high: int) -> None:
        bar, height = self.verticalScrollBar(), self.viewport().height()
        bar.setPageStep(height)
        bar.setRange(0, max(0, self._tops[-1] - height))
        bar.setValue(top)
        near = set(self._keys[low:high])
        left = (self.width() - self._width) // 2
        before: MessageView | None = None
        for key in sorted(self._views, key=self._place.__getitem__):
            view = self._views[key]
            if key not in near and not self._stays(key, view):
                self._drop(key)
                continue
            if key in self._heights:
                y = self._tops[self._place[key]] - top
                view.setGeometry(left, y, self._width, self._heights[key])
            if before is not None and self._new:
                QWidget.setTabOrder(before.last_stop(), view.first_stop())
            before = view
        self._new = False
        if not self._at_end:
            self._set_anchor(top)

    def _stays(self, key: int, view: "MessageView") -> bool:
        return key == self._pinned or view.has_selection() or view.has_focus()

    def _drop(self, key: int) -> None:
        view = self._views.pop(key)
        view.hide()
        view.deleteLater()

    def _place_jump(self) -> None:
        self.jump_button.setVisible(not self._at_end and self.verticalScrollBar().maximum() > 0)
        size = self.jump_button.sizeHint()
        at = QPoint(
            (self.viewport().width() - size.width()) // 2, self.height() - size.height() - 8
        )
        self.jump_button.setGeometry(QRect(at, size))
        self.jump_button.raise_()
