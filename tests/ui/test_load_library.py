# SPDX-License-Identifier: MIT
"""The models on this machine: found, filtered, judged at a glance, chosen."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rigpanel.library.places import FOLDER, HUGGING_FACE, Place, folders_in
from rigpanel.settings import LIBRARY_FOLDERS, SettingsStore
from rigpanel.ui.panes.load.library_page import LibraryPage
from rigpanel.ui.panes.load.outside import Outside
from tests.fit.made_architectures import Sizes, write
from tests.ui.loader import Loader, MakeLoader, play_with
from tests.ui.window_fixtures import snapshot, tick, until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """Return a folder with two models."""
    made = tmp_path / "mine"
    made.mkdir()
    shutil.copy(model, made / "alpha-F16.gguf")
    small = Sizes(n_embd=128, n_layer=6, n_head=4, n_head_kv=2, head=32, n_ff=256, n_vocab=600)
    write(made / "beta-Q8_0.gguf", "qwen2", small)
    return made


@pytest.fixture
def with_library(make_loader: MakeLoader, tmp_path: Path, folder: Path) -> Loader:
    def places(settings: SettingsStore) -> tuple[Place, ...]:
        own = folders_in(settings.get(LIBRARY_FOLDERS))
        return (Place(HUGGING_FACE, folder), *(Place(FOLDER, one) for one in own))

    return make_loader(tmp_path, outside=Outside(places=places))


async def opened(loader: Loader) -> LibraryPage:
    loader.pane.file.library_button.click()
    page = loader.pane.pages.library
    assert page is not None
    await until(lambda: len(page.rows.shown) == 2, "both models are found")
    return page


def told(page: LibraryPage) -> str:
    """Return what every row says, a line each."""
    return "\n".join(str(page.rows.index(row).data()) for row in range(page.rows.rowCount()))


def test_models_are_listed_with_what_they_are_and_whether_they_fit(
    with_library: Loader, qapp: QApplication
) -> None:
    async def scenario(loader: Loader) -> None:
        assert loader.pane.pages.library is None
        page = await opened(loader)
        assert not loader.pane.foot.load_button.isVisible()
        await until(lambda: told(page).count(", fits") == 2, "both have been looked at")
        assert "alpha-F16, F16 · " in told(page)
        assert "16k context · Hugging Face" in told(page)
        assert page.says.text() == "2 found; whether each fits now, with a context of 4096 tokens."

    play_with(with_library, qapp, scenario)


def test_on_full_cards_a_model_is_said_to_run_partly_on_the_processor(
    with_library: Loader, qapp: QApplication
) -> None:
    async def scenario(loader: Loader) -> None:
        full = snapshot(1, memory_used_mib=24570.0, processes=())
        loader.watch.tick_ready.emit(tick(full))
        page = await opened(loader)
        await until(lambda: told(page).count(", partly on CPU") == 2, "no card has room")
        no_host = dataclasses.replace(full.host, memory_used_mib=1.0, memory_total_mib=1.0)
        page.close_requested.emit()
        loader.watch.tick_ready.emit(tick(dataclasses.replace(full, host=no_host)))
        loader.pane.open_library()
        await until(lambda: told(page).count(", does not fit") == 2, "nor has the host")

    play_with(with_library, qapp, scenario)


def test_the_filter_takes_words_and_enter_takes_what_is_left(
    with_library: Loader, qapp: QApplication, folder: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        QTest.keyClicks(page.filter, "hugging BETA")
        assert [model.name for model in page.rows.shown] == ["beta-Q8_0"]
        assert page.says.text().startswith("1 of 2 found;")
        QTest.keyClick(page.filter, Qt.Key.Key_Return)
        assert page.isHidden()
        await until(lambda: "qwen2" in loader.pane.file.facts.text(), "its header is read")
        assert loader.pane.file.path.text() == str(folder / "beta-Q8_0.gguf")
        assert loader.pane.foot.load_button.isVisible()

    play_with(with_library, qapp, scenario)


def test_arrows_and_a_click_choose_and_escape_goes_back(
    with_library: Loader, qapp: QApplication, folder: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        QTest.keyClick(page, Qt.Key.Key_Escape)
        assert page.isHidden()
        loader.pane.open_library()
        QTest.keyClick(page.filter, Qt.Key.Key_Down)
        QTest.keyClick(page.filter, Qt.Key.Key_Down)
        QTest.keyClick(page.filter, Qt.Key.Key_Return)
        assert loader.pane.file.path.text().endswith("beta-Q8_0.gguf")
        loader.pane.open_library()
        first = page.list.visualRect(page.rows.index(0)).center()
        QTest.mouseClick(page.list.viewport(), Qt.MouseButton.LeftButton, pos=first)
        assert loader.pane.file.path.text().endswith("alpha-F16.gguf")

    play_with(with_library, qapp, scenario)


def test_a_folder_is_added_and_kept_and_what_cannot_be_read_is_named(
    with_library: Loader, qapp: QApplication, tmp_path: Path, model: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(model, more / "gamma.gguf")
    (more / "broken.gguf").write_bytes(b"GGUF but no more")

    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        page.add_folder(more)
        await until(lambda: len(page.rows.shown) == 3, "the third is found")
        assert "broken.gguf" in page.unreadable.text()
        assert page.unreadable.isVisible()
        assert loader.settings.get(LIBRARY_FOLDERS) == str(more)
        page.add_folder(more)
        assert loader.settings.get(LIBRARY_FOLDERS) == str(more)

    play_with(with_library, qapp, scenario)


def test_without_places_to_look_in_nothing_is_offered(loader: Loader, qapp: QApplication) -> None:
    assert not loader.pane.file.library_button.isVisible()
