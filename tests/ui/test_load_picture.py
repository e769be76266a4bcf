# SPDX-License-Identifier: MIT
"""The loader's picture: it follows the settings, says what is missing, and can be dragged."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.dry_run import dry_run
from rigpanel.engine.messages import EngineError, EngineState, EngineStatus
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.measured import Measured, MeasuredUse
from rigpanel.rig.readings import GpuProcess, NvlinkSample, PcieSample, RigSnapshot
from rigpanel.ui.panes.load.outside import Outside
from rigpanel.ui.panes.load.picture import Picture
from rigpanel.ui.theme import DARK
from tests.fit.made_architectures import llama_70b
from tests.ui.loader import Loader, MakeLoader, play_with
from tests.ui.window_fixtures import loaded, snapshot, tick, until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")

MIB = 1024 * 1024


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Llama 70B at Q4_K_M, right in every size; its weights are a hole."""
    return llama_70b(tmp_path_factory.mktemp("big") / "llama-70b-q4_k_m.gguf")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have llama.cpp asked almost at once."""
    monkeypatch.setattr("rigpanel.ui.panes.load.picture.REST_MS", 50)


def real(rig: RigSnapshot) -> RigSnapshot:
    return dataclasses.replace(rig, simulated=False)


def show(loader: Loader, rig: RigSnapshot) -> None:
    loader.watch.tick_ready.emit(tick(rig))


async def picture_of(loader: Loader, model: Path) -> Picture:
    await loader.choose(model)
    await until(lambda: loader.pane.picture is not None, "there is a picture")
    picture = loader.pane.picture
    assert picture is not None
    await until(lambda: bool(picture.bars), "the formula has answered")
    return picture


async def until_shown(picture: Picture, words: str) -> None:
    await until(lambda: words in picture.verdict.text(), f"the picture says {words!r}")


def test_the_70b_lies_on_both_cards_and_follows_the_context(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        await until_shown(picture, "It fits; the tightest, GPU 0")
        first, second, host = (bar.facts for bar in picture.bars)
        assert (first.layers, second.layers) == ("41 layers", "39 layers + output")
        assert host.use.weights_mib == pytest.approx(563.6, abs=0.1)
        assert picture.split.parts == (41, 40)
        assert "on the simulated cards" in picture.method.text()
        before = first.use.kv_mib
        loader.pane.form.context.spin.setValue(65536)
        await until_shown(picture, "It does not fit: GPU 0 lacks")
        assert picture.bars[0].facts.use.kv_mib == pytest.approx(16 * before)
        assert "short" in picture.bars[0].accessibleName()

    play_with(loader, qapp, scenario)


def test_a_bar_is_in_its_cards_colour_and_warns_in_red(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        await until_shown(picture, "It fits")
        for place in (0, 1):
            bar = picture.bars[place].grab().toImage()
            assert bar.pixelColor(20, 28) == QColor(DARK.card(place))

    play_with(loader, qapp, scenario)


def test_the_split_is_dragged_and_moved_by_keys_and_given_back(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        grip = picture.split.grips[0]
        middle = grip.rect().center()
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mousePress(grip, left, none, middle)
        QTest.mouseMove(grip, middle - QPoint(picture.split.width() // 4, 0))
        dragged = picture.split.parts
        QTest.mouseRelease(grip, left, none, middle)
        assert dragged[0] in range(19, 23)
        assert sum(dragged) == 81
        assert loader.pane.load_settings().tensor_split == tuple(map(float, dragged))
        await until(lambda: picture.bars[0].facts.use.layers == dragged[0], "the bar follows")
        QTest.keyClick(grip, Qt.Key.Key_Right)
        assert loader.pane.load_settings().tensor_split[0] == dragged[0] + 1
        QTest.keyClick(grip, Qt.Key.Key_PageUp)
        await until(lambda: picture.bars[0].facts.use.layers == dragged[0] + 6, "the keys move it")
        QTest.keyClick(grip, Qt.Key.Key_Home)
        assert loader.pane.load_settings().tensor_split == ()

    play_with(loader, qapp, scenario)


def test_even_layers_dragged_to_are_not_left_to_free_memory(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, model)
        loader.pane.form.layers.spin.setValue(6)
        await until(lambda: sum(picture.split.parts) == 6, "six layers are divided")
        while picture.split.parts != (4, 2):
            picture.split.grips[0].stepped.emit(0, 1)
        picture.split.grips[0].stepped.emit(0, -1)
        assert loader.pane.load_settings().tensor_split == (3.0, 3.0)

    play_with(loader, qapp, scenario)


def test_the_whole_model_on_one_card_has_nothing_to_split(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        loader.split_by(SplitMode.NONE)
        await until_shown(picture, "It does not fit: GPU 0 lacks 1")
        assert not picture.split.isVisible()
        assert picture.bars[1].facts.use.total_mib == 0
        loader.split_by(SplitMode.TENSOR)
        await until(lambda: picture.split.parts == (50, 50), "shares in hundredths")

    play_with(loader, qapp, scenario)


def test_what_another_program_holds_is_named_and_counts(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        firefox = (GpuProcess(7, "firefox", 6000.0),)
        show(loader, snapshot(2, processes=firefox, memory_used_mib=6200.0))
        await until(lambda: "firefox" in picture.bars[1].toolTip(), "it is named")
        assert "Held by firefox: 5.9 GiB" in picture.bars[1].toolTip()
        assert picture.bars[1].facts.usable_mib == 24576.0 - 6200.0 - 512.0

    play_with(loader, qapp, scenario)


def test_what_the_engine_itself_holds_counts_as_free(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    class Holding(type(loader.engine)):  # type: ignore[misc]
        pid = 99

    async def scenario(loader: Loader) -> None:
        loader.engine.__class__ = Holding
        ours = (GpuProcess(99, "python3", 20000.0),)
        show(loader, real(snapshot(2, processes=ours, memory_used_mib=20300.0)))
        picture = await picture_of(loader, big)
        assert picture.bars[1].facts.usable_mib == 24576.0 - 300.0 - 512.0

    play_with(loader, qapp, scenario)


def test_links_are_drawn_and_a_narrow_slot_is_warned_of(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        bridge = NvlinkSample(4, 4, "3.1", ("GPU-0",))
        show(loader, snapshot(2, nvlink=bridge, pcie=PcieSample(1, 4, 4, 16, 0.0, 0.0)))
        picture = await picture_of(loader, big)
        assert (
            picture.links[0].words
            == "PCIe 4.0 \N{MULTIPLICATION SIGN}16 and PCIe 4.0 \N{MULTIPLICATION SIGN}4"
        )
        assert (
            "GPU 1 runs at \N{MULTIPLICATION SIGN}4 of \N{MULTIPLICATION SIGN}16"
            in picture.narrow.text()
        )
        both = snapshot(2)
        first, second = both.cards
        joined = dataclasses.replace(first, nvlink=NvlinkSample(4, 4, "3.1", ("GPU-1",)))
        show(loader, dataclasses.replace(both, gpus=(joined, second)))
        await until(lambda: picture.links[0].words == "NVLink · 4 links", "the bridge is drawn")
        assert picture.narrow.isHidden()

    play_with(loader, qapp, scenario)


def test_eight_cards_have_a_bar_each_and_seven_handles(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        loader.show_cards(8)
        await until(lambda: len(picture.bars) == 9, "eight cards and the host")
        assert len(picture.split.grips) == 7
        assert sum(picture.split.parts) == 81

    play_with(loader, qapp, scenario)


def test_recommended_fills_the_settings_in_and_says_why(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        form = loader.pane.form
        form.context.spin.setValue(32768)
        form.layers.spin.setValue(10)
        picture.recommend_button.click()
        await until(lambda: not picture.why.isHidden(), "it is said why")
        await until_shown(picture, "It fits")
        settings = loader.pane.load_settings()
        assert (settings.type_k, settings.type_v) == ("q8_0", "q8_0")
        assert settings.n_gpu_layers == -1
        assert settings.n_ctx == 32768
        assert settings.tensor_split == ()
        assert "at f16 a context of 32768 does not fit" in picture.why.text()
        form.context.spin.setValue(4096)
        assert picture.why.isHidden()

    play_with(loader, qapp, scenario)


def test_settings_that_llama_cpp_refuses_are_no_picture(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        running = loader.pane.form.running
        running.type_v.setCurrentText("q8_0")
        running.flash.setCurrentText("off")
        await until_shown(picture, "needs flash attention")
        assert not picture.bars[0].isVisible()
        running.flash.setCurrentText("on")
        await until_shown(picture, "It fits")
        assert picture.bars[0].isVisible()

    play_with(loader, qapp, scenario)


def test_what_a_load_took_stands_beside_the_estimate(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        settings = loader.pane.load_settings()
        loader.engine.put(EngineStatus(EngineState.READY, loaded(settings)))
        assert "Really allocated: 21.1 GiB (weights 19.6 GiB" in picture.bars[0].toolTip()
        other = loaded(LoadSettings(Path("/models/other.gguf")))
        loader.engine.put(EngineStatus(EngineState.READY, other))
        assert "Really" not in picture.bars[0].toolTip()
        loader.engine.put(EngineStatus(EngineState.EMPTY))
        assert picture.bars[0].facts.loaded is None

    play_with(loader, qapp, scenario)


def test_the_same_load_as_commands_is_copied(loader: Loader, qapp: QApplication, big: Path) -> None:
    async def scenario(loader: Loader) -> None:
        picture = await picture_of(loader, big)
        assert not picture.commands.lines
        picture.commands.head.setChecked(True)
        picture.commands.copies["llama-server"].click()
        line = QGuiApplication.clipboard().text()
        assert line.startswith(f"llama-server -m {big} -ngl 99 --split-mode layer")
        assert " -c 4096" in line
        assert picture.commands.copies["llama-server"].text() == "Copied"
        picture.commands.copies["llama-cli"].click()
        assert QGuiApplication.clipboard().text().startswith("llama-cli ")
        loader.pane.form.context.spin.setValue(8192)
        shown = picture.commands.lines["llama-cli"]
        await until(lambda: "-c 8192" in shown.text(), "the command follows")

    play_with(loader, qapp, scenario)


def measured(*on_cards: int, host: int = 7) -> Callable[[LoadSettings], Measured]:
    """Return a llama.cpp that says so many MiB of weights on each card, whatever is asked."""

    def ask(settings: LoadSettings) -> Measured:
        cards = tuple(
            MeasuredUse(f"CUDA{place}", bus, mib * MIB, 0, 0, 3, output=place == 1)
            for place, (mib, bus) in enumerate(
                zip(on_cards, ("0000:01:00.0", "0000:21:00.0"), strict=True)
            )
        )
        of_host = MeasuredUse("", "", host * MIB, 0, 0, 0, output=False)
        return Measured((*cards, of_host), settings.n_ctx, flash_attn=True)

    return ask


def test_llama_cpps_own_figures_take_the_place_of_the_formulas(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, big: Path
) -> None:
    loader = make_loader(tmp_path, outside=Outside(dry_run=measured(20_000, 19_000)))

    async def scenario(loader: Loader) -> None:
        show(loader, real(snapshot(2)))
        picture = await picture_of(loader, big)
        assert "llama.cpp is being asked" in picture.method.text()
        await until(lambda: "dry run" in picture.method.text(), "llama.cpp has answered")
        assert [bar.facts.use.weights_mib for bar in picture.bars] == [20_000, 19_000, 7]
        loader.pane.form.context.spin.setValue(8192)
        await until(lambda: "being asked" in picture.method.text(), "other settings are asked")
        assert picture.bars[0].facts.use.weights_mib != 20_000

    play_with(loader, qapp, scenario)


def test_settings_that_are_mended_are_asked_about_again(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, big: Path
) -> None:
    loader = make_loader(tmp_path, outside=Outside(dry_run=measured(20_000, 19_000)))

    async def scenario(loader: Loader) -> None:
        show(loader, real(snapshot(2)))
        running = loader.pane.form.running
        running.type_v.setCurrentText("q8_0")
        picture = await picture_of(loader, big)
        running.flash.setCurrentText("off")
        await until_shown(picture, "needs flash attention")
        running.flash.setCurrentText("auto")
        await until(lambda: "dry run" in picture.method.text(), "llama.cpp has answered")

    play_with(loader, qapp, scenario)


def test_what_a_dry_run_itself_holds_on_the_cards_moves_nothing(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, big: Path
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(settings: LoadSettings) -> Measured:
        asked.set()
        answer.wait(20)
        return measured(20_000, 19_000)(settings)

    loader = make_loader(tmp_path, outside=Outside(dry_run=slow))

    async def scenario(loader: Loader) -> None:
        show(loader, real(snapshot(2, memory_used_mib=300.0, processes=())))
        picture = await picture_of(loader, big)
        await until(asked.is_set, "llama.cpp is asked")
        before = picture.bars[1].facts.usable_mib
        held = (GpuProcess(7, "python3", 400.0),)
        show(loader, real(snapshot(2, memory_used_mib=700.0, processes=held)))
        answer.set()
        await until(lambda: "dry run" in picture.method.text(), "llama.cpp has answered")
        assert picture.bars[1].facts.usable_mib == before

    play_with(loader, qapp, scenario)


def test_a_dry_run_that_fails_leaves_the_formula_with_a_word(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, big: Path
) -> None:
    def refuse(_settings: LoadSettings) -> Measured:
        raise EngineError("llama.cpp ended (status -6): it said nothing.")

    loader = make_loader(tmp_path, outside=Outside(dry_run=refuse))

    async def scenario(loader: Loader) -> None:
        show(loader, real(snapshot(2)))
        picture = await picture_of(loader, big)
        await until(lambda: "status -6" in picture.method.text(), "it is said why")
        assert picture.method.text().startswith("Estimated by formula.")
        assert picture.bars[0].isVisible()

    play_with(loader, qapp, scenario)


def test_a_server_that_works_for_the_model_in_memory_is_not_asked_until_it_is_free(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, model: Path
) -> None:
    server = "10.0.0.7:50052"
    asked: list[LoadSettings] = []

    def answer(settings: LoadSettings) -> Measured:
        asked.append(settings)
        lent = MeasuredUse("RPC0", server, MIB, 0, 0, 4, output=True)
        host = MeasuredUse("", "", MIB, 0, 0, 0, output=False)
        return Measured((lent, host), settings.n_ctx, flash_attn=True)

    loader = make_loader(tmp_path, outside=Outside(dry_run=answer))
    loader.engine.listing = (Device("RPC0", "lent", DeviceKind.RPC, 9000.0, 12000.0, server),)

    async def scenario(loader: Loader) -> None:
        loader.pane.form.devices.set_servers((server,))
        show(loader, real(snapshot(0)))
        picture = await picture_of(loader, model)
        await until(lambda: "dry run" in picture.method.text(), "llama.cpp has answered")
        loader.pane.load()
        loader.engine.progress.put_nowait(1.0)
        await until(lambda: loader.engine.status.model is not None, "it is loaded")
        before = len(asked)
        loader.pane.form.context.spin.setValue(512)
        await until(lambda: f"{server} works for" in picture.method.text(), "it is said why not")
        loader.bridge.unload()
        await until(lambda: "dry run" in picture.method.text(), "llama.cpp has answered")
        assert len(asked) == before + 1

    play_with(loader, qapp, scenario)


def test_on_the_processor_llama_cpp_itself_is_asked(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, model: Path
) -> None:
    loader = make_loader(tmp_path, outside=Outside(dry_run=dry_run))

    async def scenario(loader: Loader) -> None:
        show(loader, real(snapshot(0)))
        picture = await picture_of(loader, model)
        (host,) = picture.bars
        guess = host.facts.use.total_mib
        await until(lambda: "dry run" in picture.method.text(), "llama.cpp has answered", 60)
        assert host.facts.use.total_mib == pytest.approx(guess, rel=0.1)
        assert picture.verdict.text() == "It fits into the host's memory."

    play_with(loader, qapp, scenario)


def test_only_the_devices_that_are_chosen_are_drawn(
    loader: Loader, qapp: QApplication, big: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        show(loader, real(snapshot(2)))
        picture = await picture_of(loader, big)
        bus = [card.pci_bus_id for card in snapshot(2).cards]
        loader.pane.form.devices.set_servers(("10.0.0.7:50052",))
        loader.pane.form.devices.take_listed(
            (
                Device("CUDA0", "RTX 3090", DeviceKind.GPU, 1.0, 1.0, str(bus[0])[4:]),
                Device("CUDA1", "RTX 3090", DeviceKind.GPU, 1.0, 1.0, str(bus[1])[4:]),
                Device("RPC0", "lent", DeviceKind.RPC, 9000.0, 12000.0, "10.0.0.7:50052"),
                Device("CPU", "A processor", DeviceKind.CPU, 1.0, 1.0),
            )
        )
        await until(lambda: len(picture.bars) == 4, "the lent device is there too")
        labels = [bar.facts.label for bar in picture.bars]
        assert labels[:2] == ["RPC0 · 10.0.0.7:50052", "GPU 0 · RTX 3090"]
        assert picture.links[0].words == "network"
        loader.pane.form.devices.boxes["CUDA0"].setChecked(False)
        await until(lambda: len(picture.bars) == 3, "a card is left out")
        assert picture.bars[1].facts.label == "GPU 1 · RTX 3090"
        assert picture.bars[1].facts.colour == DARK.card(1)

    play_with(loader, qapp, scenario)
