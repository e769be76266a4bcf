# SPDX-License-Identifier: MIT
"""The desktop program's composition root: builds every service, wires them, quits in stages."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import qasync
from PySide6.QtCore import QObject, QSocketNotifier, Slot
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from rigpanel import paths
from rigpanel.engine.engine import Engine
from rigpanel.errors import RigpanelError
from rigpanel.rig import open_source
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.settings import (
    COOL_C,
    HOLD_S,
    HOT_C,
    INTERVAL_S,
    ISOLATION,
    KEEP_IN_TRAY,
    NOTIFY,
    THEME,
    SettingsStore,
)
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.instance import InstanceServer, raise_running
from rigpanel.ui.main_window import MainWindow
from rigpanel.ui.notifications import Notifier
from rigpanel.ui.theme_apply import apply_theme
from rigpanel.ui.tray import Tray
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.sampler import Sampler
from rigpanel.watch.tick import Tick

SLOW_PERIOD_S = 5.0
"""PCIe counters block 20 ms each, so they are read this often."""
STORY_BEFORE_S = 300
"""A picture of the simulated rig shows this much of its past."""
SCREENSHOT_TICKS = 4

log = logging.getLogger(__name__)


def panes() -> tuple[str, ...]:
    """Names of the panes there are."""
    return MainWindow.PANES


class Panel(QObject):
    """Owns every service of the running panel."""

    def __init__(self, settings: SettingsStore, *, demo: bool) -> None:
        super().__init__()
        self._settings = settings
        self._quitting: asyncio.Event = asyncio.Event()
        self._watch = WatchBridge(self)
        self._engine = EngineBridge(_make_engine(settings), self)
        self._sampler = Sampler(
            open_source(demo=demo, slow_period_s=SLOW_PERIOD_S),
            AlertBook(_thresholds(settings)),
            settings.get(INTERVAL_S),
            self._watch.on_tick,
        )
        self.window = MainWindow(settings, self._watch, self._engine)
        self._tray = Tray(self)
        self._notifier = Notifier(self)
        self._instance = InstanceServer(self)
        self._watch.tick_ready.connect(self._tray.take_tick)
        self._watch.tick_ready.connect(self._notifier.take_tick)
        self._engine.status_changed.connect(self._tray.take_status)
        self._tray.show_requested.connect(self.window.raise_window)
        self._tray.quit_requested.connect(self.quit)
        self._tray.available_changed.connect(self._follow_tray)
        self._instance.show_requested.connect(self.window.raise_window)
        self.window.quit_requested.connect(self.quit)
        settings.add_listener(self._follow_settings)
        self._follow_settings()

    async def run(self, *, minimized: bool) -> None:
        """Show the window, watch the rig, and stay until asked to quit."""
        if not self._instance.listen():
            log.warning("a second start will open a second window: its socket is taken")
        if not (minimized and self._tray.available):
            self.window.show()
        self._sampler.start()
        await self._quitting.wait()
        await self._quit_in_stages()

    @Slot()
    def quit(self) -> None:
        """Begin to quit; asking again changes nothing."""
        self._quitting.set()

    async def _quit_in_stages(self) -> None:
        """Take no more work, end the engine, end the sampler, then let go of the desktop."""
        self._instance.close()
        self.window.hide()
        self._tray.close()
        await self._engine.shutdown()
        while not self._sampler.stop(timeout_s=0.02):  # noqa: ASYNC110 - it is a thread
            await asyncio.sleep(0.02)
        await self._notifier.close()
        self.window.deleteLater()

    @Slot(bool)
    def _follow_tray(self, available: bool) -> None:
        self.window.hide_on_close = available and self._settings.get(KEEP_IN_TRAY)
        if not available and not self.window.isVisible() and not self._quitting.is_set():
            self.window.show()

    def _follow_settings(self) -> None:
        self._notifier.enabled = self._settings.get(NOTIFY)
        self._sampler.set_interval_s(self._settings.get(INTERVAL_S))
        self._sampler.set_thresholds(_thresholds(self._settings))
        self.window.hide_on_close = self._tray.available and self._settings.get(KEEP_IN_TRAY)


def _thresholds(settings: SettingsStore) -> Thresholds:
    return Thresholds(settings.get(HOT_C), settings.get(COOL_C), settings.get(HOLD_S))


def _make_engine(settings: SettingsStore) -> Engine:
    if settings.get(ISOLATION) == "thread":
        from rigpanel.engine.thread_engine import ThreadEngine

        return ThreadEngine()
    from rigpanel.engine.process_engine import ProcessEngine

    return ProcessEngine()


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


def _application(arguments: list[str]) -> QApplication:
    app = QApplication(arguments)
    app.setApplicationName("rigpanel")
    app.setApplicationDisplayName("rigpanel")
    app.setDesktopFileName("rigpanel")
    app.setQuitOnLastWindowClosed(False)
    app.setWindowIcon(QIcon(str(paths.resource("rigpanel.svg"))))
    return app


@contextlib.contextmanager
def _loop(app: QApplication) -> Iterator[asyncio.AbstractEventLoop]:
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def run_panel(*, demo: bool, minimized: bool, pane: str) -> int:
    """Open the panel and return its exit status once it is quit."""
    app = _application(sys.argv[:1])
    if raise_running():
        print("rigpanel already runs; its window was raised.", file=sys.stderr)
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    settings = SettingsStore(paths.config_dir() / "settings.toml")
    apply_theme(app, settings.get(THEME))

    async def main() -> None:
        panel = Panel(settings, demo=demo)
        panel.window.show_pane(pane)
        _Signals(panel)
        await panel.run(minimized=minimized)

    with _loop(app) as loop:
        loop.run_until_complete(main())
    return 0


def take_screenshot(out: Path, *, pane: str, demo: bool, size: tuple[int, int], theme: str) -> None:
    """Draw the real window with real readings into a PNG; raises RigpanelError."""
    app = _application(["rigpanel"])
    settings = SettingsStore(paths.config_dir() / "settings.toml")
    chosen = apply_theme(app, theme)

    async def main() -> bool:
        watch = WatchBridge()
        engine = EngineBridge(_make_engine(settings))
        window = MainWindow(settings, watch, engine, chosen)
        window.show_pane(pane)
        window.resize(*size)
        window.show()
        for tick in _ticks_for_a_picture(settings, demo=demo):
            watch.on_tick(tick)
        await asyncio.sleep(0.5)
        saved = window.grab().save(str(out), "PNG")
        await engine.shutdown()
        window.deleteLater()
        return bool(saved)

    with _loop(app) as loop:
        if not loop.run_until_complete(main()):
            raise RigpanelError(f"{out} cannot be written. Check the folder's rights and space.")


def _ticks_for_a_picture(settings: SettingsStore, *, demo: bool) -> Iterator[Tick]:
    """Yield some readings of the rig as it is, or minutes of the simulated rig's story."""
    book = AlertBook(_thresholds(settings))
    now = time.monotonic()
    if demo:
        clock_s = now - STORY_BEFORE_S
        rig = SimulatedRig(lambda: clock_s)
        for second in range(STORY_BEFORE_S + 1):
            clock_s = now - STORY_BEFORE_S + second
            snapshot = rig.read()
            yield Tick(clock_s, snapshot, book.step(snapshot.cards, snapshot.time_s), book.standing)
        return
    source = open_source(demo=False)
    for _ in range(SCREENSHOT_TICKS):
        snapshot = source.read()
        transitions = book.step(snapshot.cards, snapshot.time_s)
        yield Tick(time.monotonic(), snapshot, transitions, book.standing)
    source.close()


os.environ.setdefault("PYQTGRAPH_QT_LIB", "PySide6")
