# SPDX-License-Identifier: MIT
"""The monitor: every card's temperature, power and fan curve, live, on one time axis."""

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample, RigSnapshot
from rigpanel.settings import HOT_C, SettingsStore
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.charts.card_block import LEAST_HEIGHT_PX, CardBlock
from rigpanel.ui.charts.redraw import RedrawClock
from rigpanel.ui.charts.text import tabular
from rigpanel.ui.charts.time_window import SPANS_S, TimeWindow
from rigpanel.ui.theme import Theme
from rigpanel.ui.words import host
from rigpanel.watch.history import RigHistory
from rigpanel.watch.tick import Tick

SPAN_NAMES = ("1 min", "5 min", "15 min", "1 h")
GAP_PX = 8
LEGEND_FROM_PX = 430
BLOCK_WIDTH_PX = 540
"""The least width of a card's block beside another one."""


class MonitorPane(QWidget):
    """A block a card; ticks only fill the history, a timer draws."""

    def __init__(
        self,
        watch: WatchBridge,
        engine: EngineBridge,
        settings: SettingsStore,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._theme = theme
        self._phases = engine.phases
        self._columns = 0
        self.history = RigHistory()
        self.window_of_time = TimeWindow(self)
        self.clock = RedrawClock(self)
        self.blocks: dict[str, CardBlock] = {}
        """A block a card, by UUID, in the order of the rig."""
        self._build()
        self.set_theme(theme)
        self.window_of_time.span_changed.connect(self.draw_now)
        watch.tick_ready.connect(self._tick_ready)

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme
        for block in self.blocks.values():
            block.set_theme(theme)
        self._bar.setStyleSheet(
            "QPushButton#segment { background: transparent; padding: 2px 5px }"
            f"QPushButton#segment:focus {{ border-color: {theme.text_muted} }}"
            f"QPushButton#segment:checked {{ background: {theme.raised}; color: {theme.accent};"
            f"border-color: {theme.accent} }}"
        )
        for swatch, colour in zip(self._swatches, (theme.prefill, theme.decode), strict=True):
            red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
            swatch.setStyleSheet(
                f"background: rgba({red}, {green}, {blue}, 70); border: none;"
                f"border-top: 3px solid {colour}"
            )
        self.draw_now()

    @Slot()
    def draw_now(self) -> None:
        """Draw everything that can be seen at once, for a picture or a change of the axis."""
        for block in self.blocks.values():
            block.mark_dirty()
        self.clock.draw_all()

    @Slot(object)
    def _tick_ready(self, tick: Tick) -> None:
        self.history.append(tick)
        cards = tick.snapshot.cards
        present = {sample.uuid for sample in cards}
        if self._forget_stand_ins(present) or not present <= self.blocks.keys():
            self._make_blocks(cards)
        self._show_none(tick.snapshot)
        hot_c = self._settings.get(HOT_C)
        for place, sample in enumerate(cards):
            self.blocks[sample.uuid].take(sample, place, tick.monotonic_s, hot_c)
        for uuid in self.blocks.keys() - present:
            self.blocks[uuid].go_on_without(tick.monotonic_s)
        if self.isVisible():
            self.clock.wake()

    def _forget_stand_ins(self, present: set[str]) -> bool:
        gone = [x for x in self.blocks if x not in present and x.startswith(UNKNOWN_UUID)]
        for uuid in gone:
            self._drop(uuid)
        return bool(gone)

    def _drop(self, uuid: str) -> None:
        block = self.blocks.pop(uuid)
        self._grid.removeWidget(block)
        block.hide()
        block.deleteLater()

    def _make_blocks(self, cards: tuple[GpuSample, ...]) -> None:
        for sample in cards:
            if sample.uuid not in self.blocks:
                self.blocks[sample.uuid] = CardBlock(
                    self.history.card(sample.uuid),
                    self._phases,
                    self.window_of_time,
                    self._theme,
                    self._cards,
                )
        order = {sample.uuid: place for place, sample in enumerate(cards)}
        self.blocks = dict(
            sorted(self.blocks.items(), key=lambda item: order.get(item[0], len(order)))
        )
        self._columns = 0
        self._arrange()
        self.clock.set_parts([part for block in self.blocks.values() for part in block.parts])

    def _arrange(self) -> None:
        """Put the blocks in as few columns as show them all, so that their time axes line up."""
        count = len(self.blocks)
        if not count:
            return
        rows_seen = max(1, self._scroll.height() // (LEAST_HEIGHT_PX + GAP_PX))
        most = max(1, self._scroll.width() // BLOCK_WIDTH_PX)
        columns = min(most, count, -(-count // rows_seen))
        if columns == self._columns:
            return
        self._columns = columns
        for block in self.blocks.values():
            self._grid.removeWidget(block)
        for place, block in enumerate(self.blocks.values()):
            self._grid.addWidget(block, place // columns, place % columns)
            block.show()
        for column in range(count):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)

    def _show_none(self, snapshot: RigSnapshot) -> None:
        empty = not self.blocks
        self._stack.setCurrentIndex(0 if empty else 1)
        self._bar.setVisible(not empty)
        if not empty:
            return
        text = "The driver is there, but it sees no NVIDIA card."
        if snapshot.driver_problem is not None:  # Which the banner tells, with what to do.
            text = "No card can be read."
        if text != self.sentence.text():
            self.sentence.setText(text)
        self.host.setText(f"This machine: {host(snapshot.host)}")

    def _build(self) -> None:
        self._bar = self._build_bar()
        self._bar.hide()
        self._cards = QWidget()
        self._cards.setObjectName("cards")
        self._cards.setStyleSheet("QWidget#cards { background: transparent }")
        self._grid = QGridLayout(self._cards)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP_PX)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setStyleSheet("QScrollArea { background: transparent }")
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._cards)
        self._scroll.viewport().installEventFilter(self)
        self._scroll.verticalScrollBar().valueChanged.connect(self._scrolled)
        nothing = QWidget(self)
        calm = QVBoxLayout(nothing)
        calm.addStretch(2)
        self.sentence = QLabel("Reading the cards …", nothing)
        self.sentence.setFont(tabular(15))
        self.host = QLabel(nothing)
        self.host.setObjectName("muted")
        self.host.setFont(tabular(13))
        for label in (self.sentence, self.host):
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            calm.addWidget(label)
        calm.addStretch(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP_PX, GAP_PX, GAP_PX, GAP_PX)
        layout.setSpacing(GAP_PX)
        layout.addWidget(self._bar)
        self._stack = QStackedLayout()
        self._stack.addWidget(nothing)
        self._stack.addWidget(self._scroll)
        layout.addLayout(self._stack, 1)

    def _build_bar(self) -> QWidget:
        bar = QWidget(self)
        row = QHBoxLayout(bar)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self.spans = QButtonGroup(self)
        for place, name in enumerate(SPAN_NAMES):
            button = QPushButton(name, bar)
            button.setCheckable(True)
            button.setChecked(place == 0)
            button.setToolTip(f"Show the last {name}")
            self.spans.addButton(button, place)
            row.addWidget(button)
        self.spans.idClicked.connect(self._span_chosen)
        row.addSpacing(6)
        self.hold = QPushButton("Pause", bar)
        self.hold.setCheckable(True)
        self.hold.setToolTip("Hold the charts still; readings are recorded all the same")
        self.hold.toggled.connect(self._hold_toggled)
        row.addWidget(self.hold)
        for button in bar.findChildren(QPushButton):
            button.setObjectName("segment")
            button.setCursor(Qt.CursorShape.PointingHandCursor)
        row.addStretch(1)
        self._swatches = (QLabel(bar), QLabel(bar))
        self._legend_texts = (QLabel("prefill", bar), QLabel("decode", bar))
        tips = ("The model reads the prompt", "The model writes its reply")
        for swatch, text, tip in zip(self._swatches, self._legend_texts, tips, strict=True):
            swatch.setFixedSize(16, 14)
            text.setObjectName("muted")
            text.setFont(tabular(12))
            swatch.setToolTip(tip)
            text.setToolTip(tip)
            row.addWidget(swatch)
            row.addWidget(text)
            row.addSpacing(6)
        return bar

    @Slot(int)
    def _span_chosen(self, place: int) -> None:
        self.clock.set_span(SPANS_S[place])
        self.window_of_time.set_span(SPANS_S[place])

    @Slot(bool)
    def _hold_toggled(self, held: bool) -> None:  # the signal's own signature
        self.hold.setText("Back to live" if held else "Pause")
        self.window_of_time.hold(self.history.now_s if held else None)

    @Slot()
    def _scrolled(self) -> None:
        self.clock.wake()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Choose the columns anew when the room for the blocks changes."""
        if event.type() == QEvent.Type.Resize:
            self._arrange()
            self.clock.wake()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw what came into view; leave the legend out where there is no room for it."""
        super().resizeEvent(event)
        for part in (*self._swatches, *self._legend_texts):
            part.setVisible(self.width() >= LEGEND_FROM_PX)
        if self.isVisible():
            self.clock.wake()

    def showEvent(self, event: QShowEvent) -> None:
        """Draw from now on."""
        super().showEvent(event)
        self.clock.wake()

    def hideEvent(self, event: QHideEvent) -> None:
        """Cost nothing while nobody looks."""
        super().hideEvent(event)
        self.clock.stop()
