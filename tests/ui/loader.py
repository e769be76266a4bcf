# SPDX-License-Identifier: MIT
"""A load pane with everything it is given, for the tests of its parts."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QWidget

from rigpanel.fit.load_settings import SplitMode
from rigpanel.fit.profiles import ProfileStore
from rigpanel.settings import SettingsStore
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.load.load_pane import LoadPane
from rigpanel.ui.panes.load.outside import Outside
from tests.ui.window_fixtures import ScriptedEngine, play, snapshot, tick, until


class Loader:
    """A load pane on an engine that does as the test says."""

    def __init__(
        self,
        folder: Path,
        profiles: ProfileStore | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.engine = ScriptedEngine()
        self.bridge = EngineBridge(self.engine)
        self.watch = WatchBridge()
        self.settings = SettingsStore(folder / "settings.toml")
        self.pane = LoadPane(self.settings, self.watch, self.bridge, profiles, outside=outside)
        self.pane.resize(320, 700)
        self.pane.show()
        self.show_cards(2)

    def clear(self) -> None:
        delete_now(self.pane)

    def show_cards(self, count: int) -> None:
        self.watch.tick_ready.emit(tick(snapshot(count)))

    async def choose(self, path: Path) -> None:
        self.pane.set_model_path(str(path))
        await until(lambda: "Reading" not in self.pane.file.facts.text(), "the header was read")

    def split_by(self, mode: SplitMode) -> None:
        combo = self.pane.form.split.mode
        combo.setCurrentIndex(combo.findData(mode))


MakeLoader = Callable[..., Loader]
Scenario = Callable[[Loader], Coroutine[Any, Any, None]]


def play_with(loader: Loader, app: QApplication, scenario: Scenario) -> None:
    """Run a scenario on Qt's own loop, then end the engine."""

    async def whole() -> None:
        await scenario(loader)
        await loader.bridge.shutdown()

    play(app, whole())


def delete_now(part: QWidget) -> None:
    """Delete a part here and now: left to the garbage, it goes on whatever thread that is."""
    part.hide()
    part.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def drop(onto: QWidget, path: Path) -> None:
    """Drop a file onto a widget."""
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        dropped,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    onto.dropEvent(event)
