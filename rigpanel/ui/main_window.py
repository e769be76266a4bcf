# SPDX-License-Identifier: MIT
"""The window: the rig strip on top, the rail at the side, loader, chat and charts side by side."""

import logging
from typing import TYPE_CHECKING, ClassVar

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QCloseEvent,
    QHideEvent,
    QKeySequence,
    QPaintEvent,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from rigpanel import paths
from rigpanel.fit.profiles import ProfileStore
from rigpanel.settings import THEME, SettingsStore
from rigpanel.ui.banner import Banners
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.alerts_pane import AlertsPane
from rigpanel.ui.panes.chat.pane import ChatPane
from rigpanel.ui.panes.chat.shelf import Shelf
from rigpanel.ui.panes.fans.helper_link import HelperLink
from rigpanel.ui.panes.load.load_pane import LoadPane
from rigpanel.ui.panes.load.outside import Outside
from rigpanel.ui.panes.monitor_pane import MonitorPane
from rigpanel.ui.panes.settings_pane import SettingsPane
from rigpanel.ui.rail import PAGES, Rail
from rigpanel.ui.rig_strip import RigStrip
from rigpanel.ui.status_line import StatusLine
from rigpanel.ui.theme import Theme
from rigpanel.ui.theme_apply import apply_theme, choose_theme
from rigpanel.ui.widgets import button, column, named
from rigpanel.ui.window_layout import WindowLayout, read_layout, write_layout
from rigpanel.watch.tick import Tick

if TYPE_CHECKING:
    from rigpanel.ui.panes.fans.fans_pane import FansPane

LOADER_FOLDS_BELOW_PX = 1200
PARTS = ("load", "chat", "monitor")
PART_WIDTHS_PX = (312, 420, 520)
LEAST_WIDTHS_PX = (288, 300, 276)
THREE_FROM_PX = 976
"""A window narrower than this has no room for the charts beside loader and chat."""
LAYOUT_FILE = "window.json"

log = logging.getLogger(__name__)


class MainWindow(QMainWindow):
    """One window; `hide_on_close` is true while a tray icon can bring it back."""

    PANES: ClassVar[tuple[str, ...]] = (
        *("rig", "load", "chat", "monitor", "fans", "alerts", "settings"),
    )
    quit_requested = Signal()
    first_painted = Signal()
    """The window is on the screen."""

    def __init__(
        self,
        settings: SettingsStore,
        watch: WatchBridge,
        engine: EngineBridge,
        theme: Theme | None = None,
        profiles: ProfileStore | None = None,
        shelf: Shelf | None = None,
        helper: HelperLink | None = None,
        outside: Outside | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        app = QApplication.instance()
        assert isinstance(app, QApplication)  # noqa: S101 - there is no window without one
        self._app = app
        self._settings = settings
        self._theme = theme or choose_theme(app, settings.get(THEME))
        self._theme_choice = settings.get(THEME)
        self._layout_path = paths.data_dir() / LAYOUT_FILE
        self._part_widths = PART_WIDTHS_PX
        self.hide_on_close = False
        self._painted = False
        self._loader_wanted: bool | None = None
        self._alone: str | None = None
        self.setWindowTitle("rigpanel")
        self.setMinimumSize(720, 480)
        self.strip = RigStrip(settings, self._theme)
        self.banners = Banners()
        self.rail = Rail(self._theme)
        self.load_pane = LoadPane(settings, watch, engine, profiles, self._theme, outside)
        self.chat_pane = ChatPane(engine, watch, self._theme, shelf)
        self.monitor_pane = MonitorPane(watch, engine, settings, self._theme)
        self._watch = watch
        self._helper = helper or HelperLink(self)
        self._tick: Tick | None = None
        self._fans_pane: FansPane | None = None
        self._settings_pane: SettingsPane | None = None
        self.alerts_pane = AlertsPane(settings, watch)
        self.status_line = StatusLine()
        self._restore()
        self._build()
        for receiver in (self.strip, self.banners, self.status_line):
            watch.tick_ready.connect(receiver.take_tick)
        engine.status_changed.connect(self.status_line.take_status)
        watch.tick_ready.connect(self._keep_tick)
        self._helper.status_ready.connect(self.status_line.take_helper)
        self.chat_pane.load_requested.connect(self.load_pane.load)
        self.load_pane.fold_requested.connect(self.toggle_loader)
        self.alerts_pane.settings_requested.connect(self._show_settings)
        self.rail.page_requested.connect(self.show_pane)
        settings.add_listener(self._follow_settings)
        app.styleHints().colorSchemeChanged.connect(self._follow_desktop)
        self._add_shortcuts()
        self.show_pane("rig")
        self.chat_pane.focus_composer()

    @property
    def fans_pane(self) -> "FansPane":
        """The fan curves, built when they are first wanted: the first frame does without."""
        if self._fans_pane is None:
            from rigpanel.ui.panes.fans import fans_pane

            self._fans_pane = fans_pane.FansPane(
                self._watch, self._settings, self.monitor_pane.history, self._helper, self._theme
            )
            if self._tick is not None:
                self._fans_pane.take_tick(self._tick)
            self._put_page("fans", self._fans_pane)
        return self._fans_pane

    @property
    def settings_pane(self) -> SettingsPane:
        """Every setting, built when first wanted."""
        if self._settings_pane is None:
            self._settings_pane = SettingsPane(self._settings)
            self._put_page("settings", self._settings_pane)
        return self._settings_pane

    def build_now(self) -> None:
        """Let the page that is shown be whole at once."""
        if self._fans_pane is not None:
            self._fans_pane.build_now()

    def set_model_path(self, path: str) -> None:
        """Choose the model file of the next load."""
        self.load_pane.set_model_path(path)

    @Slot(str)
    def show_pane(self, name: str) -> None:
        """Show a page, or one part of the rig page over the whole width."""
        page = name if name in dict(PAGES) else "rig"
        self._alone = name if name in PARTS else None
        if page == "fans":
            self._pages.setCurrentWidget(self.fans_pane)
        elif page == "settings":
            self._pages.setCurrentWidget(self.settings_pane)
        else:
            self._pages.setCurrentIndex([key for key, _ in PAGES].index(page))
        self.rail.show_page(page)
        for part, frame in zip(PARTS, self._frames, strict=True):
            frame.setVisible(self._alone in (None, part))
        self._fold()

    @Slot()
    def raise_window(self) -> None:
        """Bring the window to the front, from the tray or from behind."""
        self.show()
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.raise_()
        self.activateWindow()

    @Slot()
    def toggle_loader(self) -> None:
        """Fold the loader away, or bring it back."""
        self._loader_wanted = self._frames[0].isHidden()
        self._fold()

    @property
    def loader_shown(self) -> bool:
        """Whether the loader stands beside the chat."""
        return not self._frames[0].isHidden()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Go to the tray, or ask to quit where there is none."""
        if self.hide_on_close:
            self.hide()
        else:
            self.quit_requested.emit()
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Tell of the first frame, once it is painted."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            QTimer.singleShot(0, self, self._tell_painted)

    def hideEvent(self, event: QHideEvent) -> None:
        """Keep how the window was left."""
        super().hideEvent(event)
        if not event.spontaneous():
            self._keep()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fold the loader when there is no room for three."""
        super().resizeEvent(event)
        before, now = event.oldSize().width(), event.size().width()
        if before > 0 and (before < LOADER_FOLDS_BELOW_PX) != (now < LOADER_FOLDS_BELOW_PX):
            self._loader_wanted = None
        self._fold()

    def _build(self) -> None:
        self._frames: list[QFrame] = []
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(8)
        for pane, least in zip(
            (self.load_pane, self.chat_pane, self.monitor_pane), LEAST_WIDTHS_PX, strict=True
        ):
            frame = named(QFrame(), "card")
            inside = column(margins=(1, 1, 1, 1))
            frame.setLayout(inside)
            inside.addWidget(pane)
            frame.setMinimumWidth(least)
            self._splitter.addWidget(frame)
            self._frames.append(frame)
        self._splitter.setSizes(list(self._part_widths))
        for index, stretch in enumerate((0, 3, 4)):
            self._splitter.setStretchFactor(index, stretch)
        self._splitter.splitterMoved.connect(self._note_widths)
        rig = QWidget()
        row = QHBoxLayout(rig)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._folded_loader())
        row.addWidget(self._splitter, 1)
        self._pages = QStackedWidget()
        built = {"rig": rig, "alerts": self.alerts_pane}
        for name, _ in PAGES:
            self._pages.addWidget(built.get(name) or QWidget())
        page = named(QWidget(), "page")
        rows = column(margins=(8, 8, 8, 8), spacing=8)
        page.setLayout(rows)
        rows.addWidget(self.strip)
        rows.addWidget(self.banners)
        rows.addWidget(self._pages, 1)
        sides = QHBoxLayout()
        sides.setSpacing(0)
        sides.addWidget(self.rail)
        sides.addWidget(page, 1)
        whole = QWidget()
        stack = column(spacing=0)
        whole.setLayout(stack)
        stack.addLayout(sides, 1)
        stack.addWidget(self.status_line)
        self.setCentralWidget(whole)

    def _folded_loader(self) -> QFrame:
        self._folded = named(QFrame(), "card")
        self._folded.setFixedWidth(38)
        rows = column(margins=(4, 10, 4, 4))
        self._folded.setLayout(rows)
        self.unfold = button("»", "fold", "Show the model loader (Ctrl+B)")
        self.unfold.setAccessibleName("Show the model loader")
        self.unfold.setFixedSize(28, 28)
        self.unfold.clicked.connect(self.toggle_loader)
        rows.addWidget(self.unfold)
        rows.addStretch(1)
        return self._folded

    def _add_shortcuts(self) -> None:
        for keys, slot in (
            ("Ctrl+O", self.load_pane.choose_file),
            ("Ctrl+M", self._show_models),
            ("Ctrl+N", self._new_chat),
            ("Ctrl+L", self._write),
            ("Ctrl+Shift+C", self.chat_pane.copy_last_reply),
            ("Ctrl+B", self.toggle_loader),
            ("Ctrl+Q", self.quit_requested),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(slot)

    @Slot()
    def _show_settings(self) -> None:
        self.show_pane("settings")

    @Slot()
    def _show_models(self) -> None:
        if not self.load_pane.isVisible():
            self.show_pane("rig")
            if not self.loader_shown:
                self.toggle_loader()
        self.load_pane.open_library()

    @Slot()
    def _write(self) -> None:
        if not self.chat_pane.isVisible():
            self.show_pane("rig")
        self.chat_pane.focus_composer()

    @Slot()
    def _new_chat(self) -> None:
        self._write()
        self.chat_pane.new_chat()

    def _fold(self) -> None:
        alone = self._alone is not None
        self.load_pane.fold.setVisible(not alone)
        if alone:
            self._folded.hide()
            return
        roomy = self.width() >= LOADER_FOLDS_BELOW_PX
        shown = roomy if self._loader_wanted is None else self._loader_wanted
        if shown != self.loader_shown:
            self._frames[0].setVisible(shown)
        self._folded.setVisible(not shown)
        self._frames[2].setVisible(not shown or self.width() >= THREE_FROM_PX)

    @Slot()
    def _note_widths(self) -> None:
        if self._alone is None:
            now = self._splitter.sizes()
            load, chat, charts = (
                width or before for width, before in zip(now, self._part_widths, strict=True)
            )
            self._part_widths = (load, chat, charts)

    def _restore(self) -> None:
        room = self.screen().availableSize()
        kept = read_layout(self._layout_path) or WindowLayout(1440, 900, PART_WIDTHS_PX)
        self.resize(min(kept.width, room.width() - 16), min(kept.height, room.height() - 48))
        self._part_widths = kept.parts
        self._loader_wanted = kept.loader_shown

    def _keep(self) -> None:
        layout = WindowLayout(self.width(), self.height(), self._part_widths, self._loader_wanted)
        if layout == read_layout(self._layout_path):
            return
        try:
            write_layout(self._layout_path, layout)
        except OSError as error:
            log.warning("the window's layout was not kept in %s: %s", self._layout_path, error)

    @Slot()
    def _tell_painted(self) -> None:
        self.first_painted.emit()

    def _follow_settings(self) -> None:
        choice = self._settings.get(THEME)
        if choice != self._theme_choice:
            self._theme_choice = choice
            self._take_theme()

    @Slot()
    def _follow_desktop(self) -> None:
        if self._theme_choice == "system":
            self._take_theme()

    def _put_page(self, name: str, pane: QWidget) -> None:
        """Put a page in the place that was kept for it."""
        place = [key for key, _ in PAGES].index(name)
        kept = self._pages.widget(place)
        if kept is not None:
            self._pages.removeWidget(kept)
            kept.deleteLater()
        self._pages.insertWidget(place, pane)

    @Slot(object)
    def _keep_tick(self, tick: Tick) -> None:
        self._tick = tick

    def _take_theme(self) -> None:
        theme = choose_theme(self._app, self._theme_choice)
        if theme is self._theme:
            return
        self._theme = apply_theme(self._app, self._theme_choice)
        for part in (
            self.strip,
            self.rail,
            self.load_pane,
            self.chat_pane,
            self.monitor_pane,
        ):
            part.set_theme(self._theme)
        if self._fans_pane is not None:
            self._fans_pane.set_theme(self._theme)
