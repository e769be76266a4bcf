# SPDX-License-Identifier: MIT
"""Load profiles: kept under a name, chosen again, forgotten; the last that worked comes back."""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.demo_model import write_demo_model
from rigpanel.ui.panes.load.profiles import ProfileRow
from tests.ui.loader import Loader, MakeLoader, play_with
from tests.ui.window_fixtures import until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Kept:
    """Profiles in memory, answered from another thread as a store does."""

    def __init__(self) -> None:
        self.named: dict[tuple[Path, str], LoadSettings] = {}
        self.lasts: dict[Path, LoadSettings] = {}
        self.problem: RigpanelError | None = None
        self._thread = ThreadPoolExecutor(1)

    def close(self) -> None:
        self._thread.shutdown()

    def save(self, model_path: Path, name: str, settings: LoadSettings) -> Future[None]:
        def work() -> None:
            if self.problem is not None:
                raise self.problem
            self.named[model_path, name] = settings

        return self._thread.submit(work)

    def list(self, model_path: Path) -> Future[dict[str, LoadSettings]]:
        def work() -> dict[str, LoadSettings]:
            return {name: s for (model, name), s in self.named.items() if model == model_path}

        return self._thread.submit(work)

    def delete(self, model_path: Path, name: str) -> Future[None]:
        def work() -> None:
            del self.named[model_path, name]

        return self._thread.submit(work)

    def last(self, model_path: Path) -> Future[LoadSettings | None]:
        return self._thread.submit(self.lasts.get, model_path)

    def remember(self, model_path: Path, settings: LoadSettings) -> Future[None]:
        return self._thread.submit(self.lasts.__setitem__, model_path, settings)


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


@pytest.fixture
def keeper(make_loader: MakeLoader, tmp_path: Path, kept: Kept) -> Loader:
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
        pane.load_button.click()
        await until(pane.progress.isVisible, "it began")
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
    keeper: Loader, qapp: QApplication, model: Path, kept: Kept
) -> None:
    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        loader.pane.load_button.click()
        await until(loader.pane.cancel_button.isVisible, "it began")
        loader.pane.cancel_button.click()
        await until(loader.pane.problem.isVisible, "it was cancelled")

    play_with(keeper, qapp, scenario)
    assert kept.lasts == {}


def test_what_the_store_cannot_do_is_told_at_the_profile(
    keeper: Loader, qapp: QApplication, model: Path, kept: Kept
) -> None:
    kept.problem = RigpanelError("The disk is full. Make room and save again.")

    async def scenario(loader: Loader) -> None:
        row = row_of(loader)
        await loader.choose(model)
        row.combo.setEditText("long")
        row.save_button.click()
        await until(row.problem.isVisible, "it was told")
        assert "disk is full" in row.problem.text()
        assert row.combo.currentText() == "long"
        assert not row.note.isVisible()
        kept.problem = None
        row.save_button.click()
        await until(lambda: names_in(row) == ["long"], "it was saved")
        assert not row.problem.isVisible()

    play_with(keeper, qapp, scenario)


def test_profiles_belong_to_their_model(
    keeper: Loader, qapp: QApplication, model: Path, tmp_path: Path, kept: Kept
) -> None:
    other = write_demo_model(tmp_path / "other.gguf")
    kept.named[other, "of the other"] = LoadSettings(other)
    kept.named[model, "mine"] = dataclasses.replace(LoadSettings(model), n_ctx=1024)

    async def scenario(loader: Loader) -> None:
        row = row_of(loader)
        await loader.choose(model)
        await until(lambda: names_in(row) == ["mine"], "they were listed")
        row.combo.setEditText("mine")
        await loader.choose(other)
        await until(lambda: names_in(row) == ["of the other"], "the other's were listed")
        assert row.combo.currentText() == ""

    play_with(keeper, qapp, scenario)
