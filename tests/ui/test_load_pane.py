# SPDX-License-Identifier: MIT
"""The load pane: real headers, limits of the form, progress, errors that stay, what it took."""

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from rigpanel.engine.messages import EngineError, EngineState, EngineStatus
from rigpanel.fit.load_settings import SplitMode
from rigpanel.settings import LAST_MODEL, SettingsStore
from tests.ui.loader import Loader, MakeLoader, drop, play_with
from tests.ui.window_fixtures import until, words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


def test_a_chosen_file_shows_its_header_and_sets_the_limits(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        assert not loader.pane.foot.load_button.isEnabled()
        await loader.choose(model)
        assert "rigpanel demo" in words_in(loader.pane)
        assert "F16 · " in loader.pane.file.facts.text()
        assert "6 layers · trained on 16384 tokens" in loader.pane.file.facts.text()
        form = loader.pane.form
        assert (form.layers.spin.value(), form.layers.spin.maximum()) == (7, 7)
        assert form.context.spin.maximum() == 16384
        assert loader.pane.foot.load_button.isEnabled()
        assert loader.settings.get(LAST_MODEL) == str(model)
        assert not loader.pane.file.demo_button.isVisible()

    play_with(loader, qapp, scenario)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"PK\x03\x04 a checkpoint", "zip archive"), (b"", "is empty"), (None, "does not exist")],
)
def test_a_file_that_is_no_model_says_why_and_cannot_be_loaded(
    loader: Loader, qapp: QApplication, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "odd.gguf"
    if content is not None:
        path.write_bytes(content)

    async def scenario(loader: Loader) -> None:
        await loader.choose(path)
        assert loader.pane.problem.isVisible()
        assert words in loader.pane.problem.sentence.text()
        assert not loader.pane.foot.load_button.isEnabled()
        loader.show_cards(2)
        assert loader.pane.problem.isVisible()

    play_with(loader, qapp, scenario)


def test_what_is_set_is_what_is_loaded(loader: Loader, qapp: QApplication, model: Path) -> None:
    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        form = loader.pane.form
        form.layers.spin.setValue(3)
        assert "4 of 7 stay on the CPU" in form.layers.note
        form.context.spin.setValue(8192)
        loader.split_by(SplitMode.TENSOR)
        assert "experimental" in words_in(form)
        form.split.shares[1].setValue(2.0)
        loader.pane.foot.load_button.click()
        await until(lambda: bool(loader.engine.loads), "the engine was asked")
        (asked,) = loader.engine.loads
        assert asked.model == model
        assert (asked.n_gpu_layers, asked.n_ctx) == (3, 8192)
        assert (asked.split_mode, asked.tensor_split) == (SplitMode.TENSOR, (1.0, 2.0))
        loader.engine.progress.put_nowait(1.0)
        await until(lambda: loader.engine.status.state is EngineState.READY, "it loaded")

    play_with(loader, qapp, scenario)


def test_left_alone_it_puts_all_on_the_cards_and_the_split_to_llama_cpp(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        asked = loader.pane.load_settings()
        assert (asked.n_gpu_layers, asked.tensor_split) == (-1, ())
        assert asked.split_mode is SplitMode.LAYER

    play_with(loader, qapp, scenario)


def test_progress_then_what_it_took_then_unload(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        pane = loader.pane
        await loader.choose(model)
        pane.foot.load_button.click()
        await until(pane.foot.progress.isVisible, "progress was shown")
        assert pane.foot.cancel_button.isVisible()
        pane.load()  # Ctrl+Return once more
        loader.engine.progress.put_nowait(0.43)
        await until(lambda: pane.foot.progress.value() == 430, "progress moved")
        loader.engine.progress.put_nowait(1.0)
        await until(pane.loaded.isVisible, "the model was shown")
        assert "21633 MiB" in pane.loaded.sentences()
        assert "CUDA0 · 41 layers" in pane.loaded.sentences()
        assert "KV cache 1312" in pane.loaded.sentences()
        assert "loaded in 14.2 s" in pane.loaded.sentences()
        assert not pane.foot.progress.isVisible()
        assert len(loader.engine.loads) == 1
        assert not pane.problem.isVisible()
        pane.foot.unload_button.click()
        await until(lambda: not pane.loaded.isVisible(), "it was unloaded")
        assert loader.engine.unloads == 1

    play_with(loader, qapp, scenario)


def test_a_load_can_be_cancelled_and_a_failure_stays_until_the_next_try(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        pane = loader.pane
        await loader.choose(model)
        pane.foot.load_button.click()
        await until(pane.foot.cancel_button.isVisible, "it began")
        pane.foot.cancel_button.click()
        await until(lambda: "cancelled" in pane.problem.sentence.text(), "it was cancelled")
        assert pane.foot.load_button.isEnabled()
        pane.foot.load_button.click()
        await until(lambda: len(loader.engine.loads) == 2, "it began again")
        assert not pane.problem.isVisible()
        loader.engine.progress.put_nowait(EngineError("CUDA0 has no room. Use fewer GPU layers."))
        await until(pane.problem.isVisible, "the failure was shown")
        loader.show_cards(2)
        assert "fewer GPU layers" in pane.problem.sentence.text()
        assert pane.problem.isVisible()
        assert "six-layers.gguf · all layers on the cards" in pane.problem.tried.text()

    play_with(loader, qapp, scenario)


def test_a_death_is_told_with_what_was_loaded_and_the_last_lines(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        pane = loader.pane
        await loader.choose(model)
        pane.form.context.spin.setValue(8192)
        killed = "The engine was ended by SIGKILL."
        loader.engine.put(
            EngineStatus(
                EngineState.STOPPED, None, killed, ("first", "", "last words"), pane.load_settings()
            )
        )
        assert pane.problem.sentence.text() == killed
        assert "context 8k" in pane.problem.tried.text()
        assert not pane.problem.log.isVisible()
        pane.problem.log_button.click()
        assert pane.problem.log.isVisible()
        assert pane.problem.log.text() == "first\nlast words"

    play_with(loader, qapp, scenario)


def test_one_card_has_nothing_to_split_and_none_runs_on_the_cpu(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        form = loader.pane.form
        await loader.choose(model)
        assert [spin.isVisible() for spin in form.split.shares] == [True, True]
        loader.split_by(SplitMode.NONE)
        assert not form.split.shares[0].isVisible()
        loader.split_by(SplitMode.LAYER)
        loader.show_cards(1)
        assert not form.split.mode.isVisible()
        assert not form.split.shares[0].isVisible()
        loader.show_cards(0)
        assert "run on the CPU" in form.layers.note
        assert not form.layers.spin.isEnabled()
        loader.show_cards(8)
        assert len(form.split.shares) == 8

    play_with(loader, qapp, scenario)


def test_nothing_is_wider_than_the_pane(loader: Loader, qapp: QApplication, model: Path) -> None:
    async def scenario(loader: Loader) -> None:
        loader.show_cards(8)
        await loader.choose(model)
        loader.pane.resize(loader.pane.minimumWidth(), 700)
        await until(
            lambda: loader.pane.form.width() <= loader.pane.width(), "the form fits its pane"
        )

    play_with(loader, qapp, scenario)


def test_a_dropped_file_is_chosen(loader: Loader, qapp: QApplication, model: Path) -> None:
    async def scenario(loader: Loader) -> None:
        drop(loader.pane, model)
        await until(loader.pane.foot.load_button.isEnabled, "the dropped file was read")

    play_with(loader, qapp, scenario)


def test_a_demo_model_is_made_when_there_is_none(loader: Loader, qapp: QApplication) -> None:
    async def scenario(loader: Loader) -> None:
        assert "noise" in loader.pane.file.demo_button.toolTip()
        loader.pane.file.demo_button.click()
        await until(loader.pane.foot.load_button.isEnabled, "the demo model was made and chosen")
        assert "random weights" in words_in(loader.pane)

    play_with(loader, qapp, scenario)
    assert Path(loader.pane.file.path.text()).is_file()


def test_the_last_model_is_there_at_the_next_start(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, model: Path
) -> None:
    SettingsStore(tmp_path / "settings.toml").set(LAST_MODEL, str(model))
    loader = make_loader(tmp_path)

    async def scenario(loader: Loader) -> None:
        await until(loader.pane.foot.load_button.isEnabled, "it was read again")
        assert loader.pane.file.path.text() == str(model)

    play_with(loader, qapp, scenario)
