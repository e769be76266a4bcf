# SPDX-License-Identifier: MIT
"""The window: the rig strip on top, the rail at the side, loader, chat and charts side by side."""

from typing import ClassVar

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from rigpanel.settings import THEME, SettingsStore
from rigpanel.ui.banner import Banners
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.alerts_pane import AlertsPane
from rigpanel.ui.panes.chat_pane import ChatPane
from rigpanel.ui.panes.load_pane import LoadPane
from rigpanel.ui.panes.monitor_pane import MonitorPane
from rigpanel.ui.panes.settings_pane import SettingsPane
from rigpanel.ui.rail import PAGES, Rail
from rigpanel.ui.rig_strip import RigStrip
from rigpanel.ui.status_line import StatusLine
from rigpanel.ui.theme import Theme
from rigpanel.ui.theme_apply import apply_theme, choose_theme
from rigpanel.ui.widgets import named

LOADER_FOLDS_BELOW_PX = 1200
PARTS = ("load", "chat", "monitor")
SHARES_PX = (300, 460, 560)


class MainWindow(QMainWindow):
    """One window; `hide_on_close` is true while a tray icon can bring it back."""

    PANES: ClassVar[tuple[str, ...]] = ("rig", "load", "chat", "monitor", "alerts", "settings")
    quit_requested = Signal()

    def __init__(
        self,
        settings: SettingsStore,
        watch: WatchBridge,
        engine: EngineBridge,
        theme: Theme | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        app = QApplication.instance()
        assert isinstance(app, QApplication)  # noqa: S101 - there is no window without one
        self._app = app
        self._settings = settings
        self._theme = theme or choose_theme(app, settings.get(THEME))
        self._theme_choice = settings.get(THEME)
        self.hide_on_close = False
        self._loader_wanted: bool | None = None
        self._alone: str | None = None
        self.setWindowTitle("rigpanel")
        self.setMinimumSize(720, 480)
        room = self.screen().availableSize()
        self.resize(min(1440, room.width() - 16), min(900, room.height() - 48))
        self.strip = RigStrip(settings, self._theme)
        self.banners = Banners()
        self.rail = Rail(self._theme)
        self.load_pane = LoadPane(settings, watch, engine)
        self.chat_pane = ChatPane(engine, self._theme)
        self.monitor_pane = MonitorPane(watch, engine, settings, self._theme)
        self.status_line = StatusLine()
        self._pages = QStackedWidget()
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._build(settings, watch)
        for receiver in (self.strip, self.banners, self.status_line):
            watch.tick_ready.connect(receiver.take_tick)
        engine.status_changed.connect(self.status_line.take_status)
        self.chat_pane.reload_requested.connect(self.load_pane.load)
        self.rail.page_requested.connect(self.show_pane)
        settings.add_listener(self._follow_settings)
        self._add_shortcuts()
        self.show_pane("rig")

    def set_model_path(self, path: str) -> None:
        """Choose the model file of the next load."""
        self.load_pane.set_model_path(path)

    @Slot(str)
    def show_pane(self, name: str) -> None:
        """Show a page, or one part of the rig page over the whole width."""
        page = name if name in dict(PAGES) else "rig"
        self._pages.setCurrentIndex([key for key, _ in PAGES].index(page))
        self.rail.show_page(page)
        for part, widget in zip(PARTS, self._parts, strict=True):
            widget.setVisible(name in (part, "rig") or page != "rig")
        self._alone = name if name in PARTS else None
        self._fold()

    @Slot()
    def raise_window(self) -> None:
        """Bring the window to the front, from the tray or from behind."""
        self.show()
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.raise_()
        self.activateWindow()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Go to the tray, or ask to quit where there is none."""
        if self.hide_on_close:
            self.hide()
        else:
            self.quit_requested.emit()
        event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fold the loader when there is no room for three."""
        super().resizeEvent(event)
        crossed = (event.oldSize().width() < LOADER_FOLDS_BELOW_PX) != (
            event.size().width() < LOADER_FOLDS_BELOW_PX
        )
        if crossed:
            self._loader_wanted = None
        self._fold()

    def _build(self, settings: SettingsStore, watch: WatchBridge) -> None:
        self._parts = []
        for pane in (self.load_pane, self.chat_pane, self.monitor_pane):
            frame = named(QWidget(), "part")
            box = QVBoxLayout(frame)
            box.setContentsMargins(0, 0, 0, 0)
            card = named(_card(pane), "card")
            box.addWidget(card)
            self._splitter.addWidget(frame)
            self._parts.append(frame)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(8)
        self._splitter.setSizes(list(SHARES_PX))
        for index, stretch in enumerate((0, 3, 4)):
            self._splitter.setStretchFactor(index, stretch)
        self._parts[1].setMinimumWidth(300)
        self._unfold = QPushButton("»")
        self._unfold.setToolTip("Show the model loader (Ctrl+L)")
        self._unfold.setFixedWidth(28)
        self._unfold.clicked.connect(self.toggle_loader)
        rig = QWidget()
        row = QHBoxLayout(rig)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self._unfold, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._splitter, 1)
        for page in (rig, AlertsPane(settings, watch), SettingsPane(settings)):
            self._pages.addWidget(page)
        page = named(QWidget(), "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(10, 10, 10, 8)
        column.setSpacing(8)
        column.addWidget(self.strip)
        column.addWidget(self.banners)
        column.addWidget(self._pages, 1)
        body = QWidget()
        sides = QHBoxLayout(body)
        sides.setContentsMargins(0, 0, 0, 0)
        sides.setSpacing(0)
        sides.addWidget(self.rail)
        sides.addWidget(page, 1)
        whole = QWidget()
        stack = QVBoxLayout(whole)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(0)
        stack.addWidget(body, 1)
        stack.addWidget(self.status_line)
        self.setCentralWidget(whole)

    def _add_shortcuts(self) -> None:
        for keys, slot in (
            ("Ctrl+O", self.load_pane.choose_file),
            ("Ctrl+Return", self.load_pane.load),
            ("Ctrl+N", self.chat_pane.new_chat),
            ("Ctrl+M", self.chat_pane.focus_composer),
            ("Ctrl+Shift+C", self.chat_pane.copy_last_reply),
            ("Ctrl+L", self.toggle_loader),
            ("Ctrl+Q", self.quit_requested.emit),
            ("Ctrl+1", self._show_rig),
            ("Ctrl+2", self._show_alerts),
            ("Ctrl+3", self._show_settings),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(slot)

    @Slot()
    def _show_rig(self) -> None:
        self.show_pane("rig")

    @Slot()
    def _show_alerts(self) -> None:
        self.show_pane("alerts")

    @Slot()
    def _show_settings(self) -> None:
        self.show_pane("settings")

    @Slot()
    def toggle_loader(self) -> None:
        """Fold the loader away, or bring it back."""
        self._loader_wanted = not self._parts[0].isVisibleTo(self._splitter)
        self._fold()

    def _fold(self) -> None:
        if self._alone is not None:
            self._unfold.hide()
            return
        roomy = self.width() >= LOADER_FOLDS_BELOW_PX
        shown = roomy if self._loader_wanted is None else self._loader_wanted
        self._parts[0].setVisible(shown)
        self._unfold.setVisible(not shown)

    def _follow_settings(self) -> None:
        choice = self._settings.get(THEME)
        if choice == self._theme_choice:
            return
        self._theme_choice = choice
        self._theme = apply_theme(self._app, choice)
        for part in (self.strip, self.rail, self.chat_pane, self.monitor_pane):
            part.set_theme(self._theme)


def _card(pane: QWidget) -> QWidget:
    frame = QFrame()
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(1, 1, 1, 1)
    layout.addWidget(pane)
    return frame
