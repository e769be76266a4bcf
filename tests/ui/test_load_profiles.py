# SPDX-License-Identifier: MIT
"""Load profiles: kept under a name, chosen again, forgotten; the last that worked comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.profiles import ProfileStore
from rigpanel.library.demo_model import write_demo_model
from rigpanel.storage import Storage
from rigpanel.ui.panes.load.profiles import ProfileRow
from tests.ui.loader import Loader, MakeLoader, play_with
from tests.ui.window_fixtures import until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path / "kept.sqlite3")
    yield storage
    assert storage.close(30)


@pytest.fixture
def kept(storage: Storage) -> ProfileStore:
    return ProfileStore(storage)


@pytest.fixture
def keeper(make_loader: MakeLoader, tmp_path: Path, kept: ProfileStore) -> Loader:
    return make_loader(tmp_path, kept)


def row_of(loader: Loader) -> ProfileRow:
    row = loader.pane.profiles
    assert row is not None
    return row


def names_in(row: ProfileRow) -> list[str]:
    return [row.combo.itemText(place) for place in range(row.combo.count())]


def test_settings_are_kept_under_a_name_chosen_again_and_forgotten(
    keeper: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        row, form = row_of(loader), loader.pane.form
        assert not row.isVisible()
        await loader.choose(model)
        assert row.isVisible()
        assert not row.save_button.isEnabled()
        form.context.spin.setValue(8192)
        loader.split_by(SplitMode.ROW)
        row.combo.setEditText(" long ")
        row.save_button.click()
        await until(lambda: names_in(row) == ["long"], "it was saved")
        form.context.spin.setValue(512)
        loader.split_by(SplitMode.LAYER)
        row.combo.setCurrentIndex(0)
        row.combo.activated.emit(0)
        assert (loader.pane.load_settings().n_ctx) == 8192
        assert loader.pane.load_settings().split_mode is SplitMode.ROW
        assert "long" in row.note.text()
        row.delete_button.click()
        await until(lambda: names_in(row) == [], "it was forgotten")
        assert not row.delete_button.isVisible()
        row.save_button.click()
        await until(lambda: names_in(row) == ["long"], "it was kept after all")

    play_with(keeper, qapp, scenario)


def test_the_settings_that_worked_come_back_with_their_model(
    keeper: Loader, qapp: QApplication, model: Path, tmp_path: Path
) -> None:
    other = write_demo_model(tmp_path / "other.gguf")

    async def scenario(loader: Loader) -> None:
        form, pane = loader.pane.form, loader.pane
        await loader.choose(model)
        form.layers.spin.setValue(3)
        form.running.type_k.setCurrentText("q8_0")
        pane.foot.load_button.click()
        await until(pane.foot.progress.isVisible, "it began")
        loader.engine.progress.put_nowait(1.0)
        await until(pane.loaded.isVisible, "it loaded")
        worked = pane.load_settings()
        form.layers.spin.setValue(5)  # set, but never loaded
        await loader.choose(other)
        assert pane.load_settings().n_gpu_layers == -1
        await loader.choose(model)
        await until(lambda: pane.load_settings() == worked, "the settings came back")
        assert "last loaded" in row_of(loader).note.text()

    play_with(keeper, qapp, scenario)


def test_a_failed_load_is_not_what_comes_back(
    keeper: Loader, qapp: QApplication, model: Path, kept: ProfileStore
) -> None:
    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        loader.pane.foot.load_button.click()
        await until(loader.pane.foot.cancel_button.isVisible, "it began")
        loader.pane.foot.cancel_button.click()
        await until(loader.pane.problem.isVisible, "it was cancelled")

    play_with(keeper, qapp, scenario)
    assert kept.last(model).result(30) is None


def test_what_the_store_cannot_do_is_told_at_the_profile(
    keeper: Loader, qapp: QApplication, model: Path, storage: Storage
) -> None:
    async def scenario(loader: Loader) -> None:
        row = row_of(loader)
        await loader.choose(model)
        row.combo.setEditText("long")
        storage.close(30)
        row.save_button.click()
        await until(row.problem.isVisible, "it was told")
        assert "has been closed" in row.problem.text()
        assert row.combo.currentText() == "long"
        assert not row.note.isVisible()

    play_with(keeper, qapp, scenario)


def test_profiles_belong_to_their_model(
    keeper: Loader, qapp: QApplication, model: Path, tmp_path: Path, kept: ProfileStore
) -> None:
    other = write_demo_model(tmp_path / "other.gguf")
    kept.save(other, "of the other", LoadSettings(other))
    kept.save(model, "mine", LoadSettings(model, n_ctx=1024))

    async def scenario(loader: Loader) -> None:
        row = row_of(loader)
        await loader.choose(model)
        await until(lambda: names_in(row) == ["mine"], "they were listed")
        row.combo.setEditText("mine")
        await loader.choose(other)
        await until(lambda: names_in(row) == ["of the other"], "the other's were listed")
        assert row.combo.currentText() == ""

    play_with(keeper, qapp, scenario)
