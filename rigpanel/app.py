# SPDX-License-Identifier: MIT
"""The desktop program's composition root: builds every service, wires them, quits in stages."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

import qasync
from PySide6.QtCore import QObject, QSocketNotifier, QTimer, Slot
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from rigpanel import paths
from rigpanel.chat.presets import PresetStore
from rigpanel.chat.store import ConversationStore
from rigpanel.engine.dry_run import dry_run
from rigpanel.engine.engine import Engine
from rigpanel.engine.sampling import PRESETS
from rigpanel.errors import RigpanelError
from rigpanel.fit.profiles import ProfileStore
from rigpanel.library import header_cache
from rigpanel.library.download import Hub
from rigpanel.library.hub_tokens import HubTokens
from rigpanel.library.places import Place, fetched_dir, folders_in, known_places
from rigpanel.rig import open_source
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.rig.source import RigSource
from rigpanel.settings import (
    COOL_C,
    HANG_LIMIT_S,
    HOLD_S,
    HOT_C,
    INTERVAL_S,
    ISOLATION,
    KEEP_IN_TRAY,
    LIBRARY_FOLDERS,
    NOTIFY,
    THEME,
    SettingsStore,
)
from rigpanel.storage import FILE_NAME, Storage
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.garbage import GarbageCollector
from rigpanel.ui.imports import sources_not_kept
from rigpanel.ui.instance import InstanceServer
from rigpanel.ui.main_window import MainWindow
from rigpanel.ui.notifications import Notifier
from rigpanel.ui.panes.chat.shelf import Shelf
from rigpanel.ui.panes.fans.helper_link import HelperLink, SimulatedLink, SocketLink
from rigpanel.ui.panes.load.outside import Outside
from rigpanel.ui.simulated_work import SimulatedWork
from rigpanel.ui.theme_apply import apply_theme, lay_ground
from rigpanel.ui.tray import Tray
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.sampler import Sampler

SLOW_PERIOD_S = 5.0
"""PCIe counters block 20 ms each, so they are read this often."""
TRAY_PATIENCE_MS = 8000
"""At a login the tray may come later than the panel that is to start in it."""
SAMPLER_END_S = 3.0
SAVE_END_S = 3.0
IMPORTED_LATER = (
    *("rigpanel.ui.panes.chat.message_view", "pygments.lexers.python"),
    *("pygments.styles.gh_dark", "pygments.styles.default"),
    "rigpanel.ui.panes.fans.fans_pane",
)
STARTED_MS = 2000
"""By then the first frame has been painted."""

log = logging.getLogger(__name__)


class AlreadyRunsError(RigpanelError):
    """Another panel of this user and home runs, or is just starting."""


def panes() -> tuple[str, ...]:
    """Names of the panes there are."""
    return MainWindow.PANES


class Panel(QObject):
    """Owns every service of the running panel."""

    def __init__(self, settings: SettingsStore, instance: InstanceServer, *, demo: bool) -> None:
        super().__init__()
        self._settings = settings
        self._quitting: asyncio.Event = asyncio.Event()
        self._watch = WatchBridge(self)
        self._engine = EngineBridge(make_engine(settings), self)
        source = open_source(demo=demo, slow_period_s=SLOW_PERIOD_S)
        self._helper = helper_of(source, self._watch)
        if isinstance(source, SimulatedRig):
            SimulatedWork(source, self._engine, self)
        self._sampler = Sampler(
            source,
            AlertBook(thresholds_in(settings)),
            settings.get(INTERVAL_S),
            self._watch.on_tick,
        )
        self._storage = Storage(paths.data_dir() / FILE_NAME)
        self.window = MainWindow(
            settings,
            self._watch,
            self._engine,
            profiles=ProfileStore(self._storage),
            shelf=make_shelf(self._storage),
            helper=self._helper,
            outside=make_outside(),
        )
        self._tray = Tray(self)
        self._notifier = Notifier(self)
        self._instance = instance
        self._watch.tick_ready.connect(self._tray.take_tick)
        self._watch.tick_ready.connect(self._notifier.take_tick)
        self._watch.reading_wanted.connect(self._read_now)
        self._engine.status_changed.connect(self._tray.take_status)
        self._tray.show_requested.connect(self.window.raise_window)
        self._tray.quit_requested.connect(self.quit)
        self._tray.available_changed.connect(self._follow_tray)
        self._instance.show_requested.connect(self._show_pane)
        self.window.quit_requested.connect(self.quit)
        self.demo_wanted = False
        """Whether it is to be opened anew, on the simulated rig, once it has quit."""
        self.window.banners.demo_requested.connect(self._look_around)
        settings.add_listener(self._follow_settings)
        self._follow_settings()

    async def run(self, *, minimized: bool) -> None:
        """Show the window, watch the rig, and stay until asked to quit."""
        if not minimized:
            self._watch.hold()
            self.window.first_painted.connect(self._watch.release)
            self.window.show()
        elif not self._tray.available:
            QTimer.singleShot(TRAY_PATIENCE_MS, self, self._show_without_tray)
        self._sampler.start()
        self._helper.start()
        QTimer.singleShot(STARTED_MS, self, self._started)
        await self._quitting.wait()
        await self._quit_in_stages()

    @Slot()
    def _started(self) -> None:
        self._watch.release()  # a window on another workspace is not painted
        self._garbage = GarbageCollector(self)
        for problem in self._storage.problems:
            self.window.chat_pane.tell(problem)
        # What only replies and fans need takes 0.3 s to import: not while somebody waits for them.
        threading.Thread(target=import_later, name="imports", daemon=True).start()

    @Slot()
    def quit(self) -> None:
        """Begin to quit; asking again changes nothing."""
        self._quitting.set()

    @Slot()
    def _look_around(self) -> None:
        self.demo_wanted = True
        self.quit()

    async def _quit_in_stages(self) -> None:
        """Take no more work, end the engine, end the sampler, then let go of the desktop."""
        self._instance.close()
        self.window.hide()
        self._tray.close()
        self._helper.stop()
        await self._engine.shutdown()
        await self._save()
        end_s = time.monotonic() + SAMPLER_END_S
        while not self._sampler.stop(timeout_s=0.0):
            if time.monotonic() > end_s:
                log.warning("the driver does not answer; its thread is left behind")
                break
            await asyncio.sleep(0.02)
        if not self._storage.close(SAVE_END_S):
            log.warning("the disk does not answer; what was saved last may not be on it")
        await self._notifier.close()
        self.window.deleteLater()

    @Slot()
    def _read_now(self) -> None:
        self._sampler.read_now()

    async def _save(self) -> None:
        """Bring what was said to disk; a disk that takes nothing does not hold the end up."""
        self.window.chat_pane.keep_now()
        end_s = time.monotonic() + SAVE_END_S
        while not self.window.chat_pane.saved and time.monotonic() < end_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    @Slot(bool)
    def _follow_tray(self, available: bool) -> None:
        self.window.hide_on_close = available and self._settings.get(KEEP_IN_TRAY)
        self._show_without_tray()

    @Slot()
    def _show_without_tray(self) -> None:
        """Show the window where there is no icon to find it by."""
        if not (self._tray.available or self.window.isVisible() or self._quitting.is_set()):
            self.window.show()

    @Slot(str)
    def _show_pane(self, pane: str) -> None:
        if pane in MainWindow.PANES:
            self.window.show_pane(pane)
        self.window.raise_window()

    def _follow_settings(self) -> None:
        self._notifier.enabled = self._settings.get(NOTIFY)
        self._sampler.set_interval_s(self._settings.get(INTERVAL_S))
        self._sampler.set_thresholds(thresholds_in(self._settings))
        self.window.hide_on_close = self._tray.available and self._settings.get(KEEP_IN_TRAY)


def import_later() -> None:
    """Import what the first frame does without."""
    with sources_not_kept():
        for module in IMPORTED_LATER:
            importlib.import_module(module)


def thresholds_in(settings: SettingsStore) -> Thresholds:
    """Return when the settings want an alert."""
    return Thresholds(settings.get(HOT_C), settings.get(COOL_C), settings.get(HOLD_S))


def make_shelf(storage: Storage) -> Shelf:
    """Return what keeps conversations and presets."""
    return Shelf(ConversationStore(storage), PresetStore(storage, PRESETS))


def helper_of(source: RigSource | None, watch: WatchBridge) -> HelperLink:
    """Return the line to this machine's fan helper, or a simulated one for a simulated rig."""
    if not isinstance(source, SimulatedRig):
        return SocketLink()
    helper = SimulatedLink(source)
    watch.tick_ready.connect(helper.take_tick)
    return helper


def make_outside() -> Outside:
    """Return what the loader asks outside the window."""
    return Outside(dry_run, _places, paths.cache_dir() / header_cache.FILE_NAME, _make_hub)


def _make_hub() -> Hub:
    return Hub(fetched_dir(), tokens=HubTokens(paths.data_dir() / "hub-tokens.json"))


def _places(settings: SettingsStore) -> tuple[Place, ...]:
    return known_places(os.environ, paths.home_dir(), folders_in(settings.get(LIBRARY_FOLDERS)))


def make_engine(settings: SettingsStore) -> Engine:
    """Return an engine, in a process of its own unless the settings say otherwise."""
    if settings.get(ISOLATION) == "thread":
        from rigpanel.engine.thread_engine import ThreadEngine

        return ThreadEngine()
    from rigpanel.engine.process_engine import ProcessEngine

    return ProcessEngine(settings.get(HANG_LIMIT_S))


class _Signals(QObject):
    """SIGINT and SIGTERM as a slot: Python's handlers do not run while Qt waits for events."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        signal.set_wakeup_fd(self._theirs.fileno())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        notifier = QSocketNotifier(self._ours.fileno(), QSocketNotifier.Type.Read, self)
        notifier.activated.connect(self._arrived)

    @Slot()
    def _arrived(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(64)
        self._panel.quit()


def make_application(arguments: list[str]) -> QApplication:
    """Return Qt's application, by the names a desktop knows it by."""
    app = QApplication(arguments)
    app.setApplicationName("rigpanel")
    app.setApplicationDisplayName("rigpanel")
    app.setDesktopFileName("rigpanel")
    app.setQuitOnLastWindowClosed(False)
    app.setWindowIcon(QIcon(str(paths.resource("rigpanel.svg"))))
    return app


@contextlib.contextmanager
def loop_of(app: QApplication) -> Iterator[asyncio.AbstractEventLoop]:
    """Have asyncio run on Qt's own loop meanwhile."""
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def _log_what_nobody_caught() -> None:
    """Have exceptions of slots and threads logged; none of them ends the panel."""

    def in_slot(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        log.critical("unexpected failure", exc_info=(kind, error, trace))

    def in_thread(hook: threading.ExceptHookArgs) -> None:
        name = hook.thread.name if hook.thread else "?"
        log.critical("unexpected failure in thread %s", name, exc_info=hook.exc_value)

    sys.excepthook = in_slot
    threading.excepthook = in_thread


def run_panel(*, demo: bool, minimized: bool, pane: str) -> bool:
    """Open the panel and stay until it has quit; raises AlreadyRunsError.

    Says whether it is to be opened anew, on the simulated rig.
    """
    app = make_application(sys.argv[:1])
    instance = InstanceServer()
    if not instance.listen():
        raise AlreadyRunsError(
            "rigpanel already runs but does not answer. Wait a moment, or end it and start again."
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    _log_what_nobody_caught()
    settings = SettingsStore(paths.config_dir() / "settings.toml")
    for problem in settings.problems:
        log.warning("%s", problem)
    lay_ground(app, settings.get(THEME))

    async def main() -> bool:
        panel = Panel(settings, instance, demo=demo)
        apply_theme(app, settings.get(THEME))
        panel.window.show_pane(pane)
        _Signals(panel)
        await panel.run(minimized=minimized)
        return panel.demo_wanted

    with loop_of(app) as loop:
        return bool(loop.run_until_complete(main()))


os.environ.setdefault("PYQTGRAPH_QT_LIB", "PySide6")
