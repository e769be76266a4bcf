# SPDX-License-Identifier: MIT
"""The loader, the models on this machine and what fetches more: one of them is shown at a time."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget

from rigpanel.settings import SettingsStore
from rigpanel.ui.panes.load.laid_over import Ground
from rigpanel.ui.panes.load.outside import Outside
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import column

if TYPE_CHECKING:
    from rigpanel.ui.panes.load.download_page import DownloadPage
    from rigpanel.ui.panes.load.library_page import LibraryPage


class Pages(QWidget):
    """The loader and, made when first asked for, the two others in its place."""

    chosen = Signal(str)
    """Path of the model that a person chose."""
    closed = Signal()
    """The loader is back."""

    def __init__(
        self,
        loader: QWidget,
        settings: SettingsStore,
        outside: Outside,
        rig: Callable[[], tuple[int, Ground] | None],
    ) -> None:
        """`rig` tells the context asked for and what models are laid over, once that is known."""
        super().__init__()
        self._loader = loader
        self._settings = settings
        self._outside = outside
        self._rig = rig
        self.library: LibraryPage | None = None
        """The models on this machine."""
        self.downloads: DownloadPage | None = None
        """What fetches more of them."""
        self._rows = column()
        self.setLayout(self._rows)
        self._rows.addWidget(loader)

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        if self.library is not None:
            self.library.set_theme(theme)

    def open_library(self, theme: Theme) -> None:
        """Show the models on this machine, if there are places to look in."""
        if self.library is None:
            self.library = self._make_library(theme)
        rig = self._rig()
        if self.library is not None and rig is not None:
            self.library.set_rig(*rig)
        if self.library is not None:
            self._show(self.library)

    @Slot()
    def close_pages(self) -> None:
        """Go back to the loader."""
        self._show(self._loader)
        self.closed.emit()

    @Slot()
    def open_downloads(self) -> None:
        """Show what fetches models, if there is a server to ask."""
        if self.downloads is None:
            self.downloads = self._make_downloads()
        rig = self._rig()
        if self.downloads is not None and rig is not None:
            self.downloads.set_ground(rig[1])
        if self.downloads is not None:
            self._show(self.downloads)
            self.downloads.text.setFocus()

    @Slot()
    def _back_to_library(self) -> None:
        if self.library is not None:
            self._show(self.library)

    @Slot(str)
    def _take_chosen(self, path: str) -> None:
        self.close_pages()
        self.chosen.emit(path)

    def _show(self, page: QWidget) -> None:
        for other in (self._loader, self.library, self.downloads):
            if other is not None and other is not page:
                other.hide()
        page.show()

    def _make_library(self, theme: Theme) -> "LibraryPage | None":
        if self._outside.places is None:
            return None
        from rigpanel.ui.panes.load.library_page import LibraryPage

        places = functools.partial(self._outside.places, self._settings)
        page = LibraryPage(self._settings, places, self._outside.header_cache, theme)
        page.hide()
        page.chosen.connect(self._take_chosen)
        page.close_requested.connect(self.close_pages)
        page.download_button.setVisible(self._outside.make_hub is not None)
        page.download_requested.connect(self.open_downloads)
        self._rows.addWidget(page)
        return page

    def _make_downloads(self) -> "DownloadPage | None":
        if self.library is None or self._outside.make_hub is None:
            return None
        from rigpanel.ui.panes.load.download_page import DownloadPage

        page = DownloadPage(self._outside.make_hub)
        page.hide()
        page.chosen.connect(self._take_chosen)
        page.close_requested.connect(self._back_to_library)
        page.fetched.connect(self.library.look_now)
        self._rows.addWidget(page)
        return page
