# SPDX-License-Identifier: MIT
"""The rig strip: a tile per card along the top, always there."""

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QWidget

from rigpanel.settings import HOT_C, SettingsStore
from rigpanel.ui import words
from rigpanel.ui.card_tile import LEAST_W, TILE_H, CardTile
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import named
from rigpanel.watch.tick import Tick

GAP_PX = 8
LINE_H = 28
SCROLLER_H = 12


class RigStrip(QScrollArea):
    """The tiles of all cards side by side; more than fit scroll; without a card, the host."""

    def __init__(
        self, settings: SettingsStore, theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._theme = theme
        self.tiles: dict[str, CardTile] = {}
        """A tile a card, by UUID."""
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inside = QWidget()
        self._row = QHBoxLayout(inside)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GAP_PX)
        self._row.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.host = named(QLabel("Looking for cards …"), "empty")
        """What stands in the strip while there is no card."""
        self._row.addWidget(self.host)
        self.setWidget(inside)
        self._fit()

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        for tile in self.tiles.values():
            tile.set_theme(theme)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        hot_c = self._settings.get(HOT_C)
        cards = tick.snapshot.cards
        if [gpu.uuid for gpu in cards] != list(self.tiles):
            self._set_cards([gpu.uuid for gpu in cards])
        if not cards:
            machine = words.host(tick.snapshot.host)
            self.host.setText(f"No NVIDIA card here · this machine: {machine}")
        for place, gpu in enumerate(cards):
            self.tiles[gpu.uuid].show_sample(gpu, place, tick.monotonic_s, hot_c)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make room for the scroll bar where not every tile fits."""
        super().resizeEvent(event)
        self._fit()

    def _set_cards(self, uuids: list[str]) -> None:
        for uuid in set(self.tiles) - set(uuids):
            gone = self.tiles.pop(uuid)
            self._row.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        for place, uuid in enumerate(uuids):
            tile = self.tiles.get(uuid) or CardTile(place, self._theme)
            self._row.insertWidget(place, tile, 1)
            self.tiles[uuid] = tile
        self.tiles = {uuid: self.tiles[uuid] for uuid in uuids}
        self.host.setVisible(not uuids)
        self._fit()

    def _fit(self) -> None:
        count = len(self.tiles)
        scrolls = count * (LEAST_W + GAP_PX) - GAP_PX > self.width()
        height = TILE_H + (SCROLLER_H if scrolls else 0) if count else LINE_H
        if height != self.height():
            self.setFixedHeight(height)
