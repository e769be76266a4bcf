# SPDX-License-Identifier: MIT
"""The monitor as a whole: cards come and go, drawing is by timer, and nobody is blocked."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from rigpanel.engine.devices import Device
from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    ChatRequest,
    EngineState,
    EngineStatus,
    LoadedModel,
    ReplyEvent,
)
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample, Missing, RigSnapshot
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.settings import HOT_C, SettingsStore
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.charts.card_block import CardBlock
from rigpanel.ui.panes.monitor_pane import MonitorPane
from rigpanel.ui.theme import DARK, LIGHT
from rigpanel.ui.theme_apply import apply_theme
from rigpanel.watch.phases import PhaseKind
from rigpanel.watch.tick import Tick

# the offscreen platform says this of every window that is shown
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")

WITHOUT = ("index", "uuid", "name", "pci_bus_id")
LOST: dict[str, Any] = {
    x.name: Missing.GPU_LOST for x in dataclasses.fields(GpuSample) if x.name not in WITHOUT
}


class NoEngine(Engine):
    """An engine that never has a model."""

    status = EngineStatus(EngineState.STOPPED)

    def add_listener(self, listener: Callable[[EngineStatus], None]) -> None: ...

    async def load(
        self, settings: LoadSettings, on_progress: Callable[[float], None]
    ) -> LoadedModel:
        raise RigpanelError(f"no engine for {settings} {on_progress}")

    def chat(self, request: ChatRequest) -> AsyncIterator[ReplyEvent]:
        raise RigpanelError(f"no engine for {request}")

    async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
        del rpc_servers
        return ()

    def cancel(self) -> None: ...

    async def unload(self) -> None: ...

    async def stop(self) -> None: ...


class Panel:
    """A monitor with a rig whose clock the test turns."""

    def __init__(self, qtbot: QtBot, folder: Path, size: tuple[int, int] = (900, 800)) -> None:
        self.now_s = 100.0
        self.rig = SimulatedRig(lambda: self.now_s)
        self.watch = WatchBridge()
        self.engine = EngineBridge(NoEngine())
        self.settings = SettingsStore(folder / "settings.toml")
        self.pane = MonitorPane(self.watch, self.engine, self.settings, DARK)
        qtbot.addWidget(self.pane)
        self.pane.resize(*size)
        self.pane.show()
        qtbot.waitExposed(self.pane)

    def snapshot(self, count: int = 2, **changed: object) -> RigSnapshot:
        """Return the rig with so many cards; what is changed is changed on the last."""
        both = self.rig.read()
        cards = [
            dataclasses.replace(both.cards[place % 2], index=place, uuid=f"GPU-{place}")
            for place in range(count)
        ]
        if changed:
            cards[-1] = dataclasses.replace(cards[-1], **changed)  # type: ignore[arg-type]
        return dataclasses.replace(both, gpus=tuple(cards), time_s=self.now_s)

    def tick(self, snapshot: RigSnapshot | None = None, step_s: float = 1.0) -> None:
        self.now_s += step_s
        snapshot = snapshot or self.snapshot()
        snapshot = dataclasses.replace(snapshot, time_s=self.now_s)
        self.watch.tick_ready.emit(Tick(self.now_s, snapshot, (), ()))

    def block(self, place: int) -> CardBlock:
        return self.pane.blocks[f"GPU-{place}"]

    def draw(self) -> None:
        QApplication.processEvents()
        self.pane.draw_now()
        QApplication.processEvents()


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> Iterator[Panel]:
    panel = Panel(qtbot, tmp_path)
    yield panel
    panel.pane.hide()
    assert not panel.pane.clock.running, "a hidden pane still draws"


def test_a_hundred_ticks_cost_few_drawings(
    panel: Panel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.tick()
    chart = panel.block(0).temperature
    qtbot.waitUntil(lambda: not panel.pane.clock.running)
    drawn, painted = [], []
    redraw, paint = chart.redraw, chart.plot.paintEvent

    def count_redraw() -> None:
        drawn.append(panel.now_s)
        redraw()

    def count_paint(event: QPaintEvent) -> None:
        painted.append(panel.now_s)
        paint(event)

    monkeypatch.setattr(chart, "redraw", count_redraw)
    monkeypatch.setattr(chart.plot, "paintEvent", count_paint)
    for _ in range(100):
        panel.tick(step_s=0.1)
    assert not drawn, "arriving data drew the chart"
    qtbot.waitUntil(lambda: not chart.dirty)
    qtbot.waitUntil(lambda: bool(painted))
    assert len(drawn) <= 2
    assert len(painted) <= 4
    assert len(chart.curve.getData()[0]) >= 100


def test_the_clock_rests_when_there_is_nothing_new(panel: Panel, qtbot: QtBot) -> None:
    panel.tick()
    qtbot.waitUntil(lambda: panel.pane.clock.running)
    qtbot.waitUntil(lambda: not panel.pane.clock.running)
    for part in panel.block(0).parts:
        assert not part.dirty


def test_a_hidden_pane_records_and_does_not_draw(panel: Panel) -> None:
    panel.pane.hide()
    for _ in range(10):
        panel.tick()
    assert not panel.pane.clock.running
    assert len(panel.pane.history.card("GPU-0")) == 10


def test_all_cards_share_one_time_axis(panel: Panel) -> None:
    panel.tick(panel.snapshot(8))
    panel.draw()
    leader = panel.pane.window_of_time.leader
    views = [
        chart.item.getViewBox()
        for block in panel.pane.blocks.values()
        for chart in (block.temperature, block.power)
    ]
    assert len(views) == 16
    assert all(view.linkedView(view.XAxis) is leader for view in views)
    for place, span_s in enumerate((60.0, 300.0, 900.0, 3600.0)):
        panel.pane.spans.button(place).click()
        panel.draw()
        assert all(view.viewRange()[0] == [-span_s, 0.0] for view in views)


def test_the_header_tells_how_the_card_is(panel: Panel) -> None:
    panel.tick(panel.snapshot(temperature_c=91.0, power_draw_w=301.0))
    panel.draw()
    header = panel.block(1).header
    assert header.name.text() == "GPU 1 · RTX 3090"
    assert header.state.text() == "hot"
    assert [label.text() for label in header.values][:2] == ["91 °C", "301 / 350 W"]
    facts = header.facts.text()
    for part in ("VRAM 0.6 / 24.0 GiB", "PCIe gen", "NVLink 4 of 4", "MHz", "MiB/s"):
        assert part in facts
    assert panel.block(0).header.state.text() == "ok"


def test_the_alert_line_follows_the_settings(panel: Panel) -> None:
    panel.settings.set(HOT_C, 90.0)
    panel.tick()
    panel.draw()
    assert panel.block(0).temperature.alert_line.value == 90.0
    assert panel.block(0).fan_curve.alert_line.value == 90.0


def test_a_lost_card_stays_with_its_word_and_comes_back(panel: Panel) -> None:
    for _ in range(3):
        panel.tick()
    block = panel.block(1)
    panel.tick(panel.snapshot(2, **LOST))
    panel.draw()
    assert panel.block(1) is block
    assert block.header.state.text() == "lost"
    assert block.temperature.word.text() == "GPU lost"
    assert not any(label.isVisible() for label in block.header.values), "a lost card has no figures"
    assert panel.block(0).temperature.word.isHidden()
    panel.tick()
    panel.draw()
    assert panel.block(1) is block
    assert block.temperature.word.isHidden()
    assert block.header.state.text() == "ok"


def test_a_card_that_is_no_longer_listed_stays_as_lost(panel: Panel) -> None:
    panel.tick()
    panel.tick(panel.snapshot(1))
    panel.draw()
    assert list(panel.pane.blocks) == ["GPU-0", "GPU-1"]
    assert panel.block(1).header.state.text() == "lost"
    assert panel.block(1).power.word.text() == "GPU lost"


def test_a_card_that_appears_later_joins_without_rebuilding(panel: Panel) -> None:
    panel.tick(panel.snapshot(1))
    first = panel.block(0)
    panel.tick(panel.snapshot(3))
    panel.draw()
    assert list(panel.pane.blocks) == ["GPU-0", "GPU-1", "GPU-2"]
    assert panel.block(0) is first
    assert all(block.isVisible() for block in panel.pane.blocks.values())


def test_a_stand_in_is_replaced_by_the_card_it_stood_for(panel: Panel) -> None:
    panel.tick(panel.snapshot(2, uuid=UNKNOWN_UUID + "1", **LOST))
    panel.tick()
    panel.draw()
    assert list(panel.pane.blocks) == ["GPU-0", "GPU-1"]


def test_without_a_driver_it_says_so_and_shows_the_host(panel: Panel) -> None:
    sentence = "No NVIDIA driver was found; install one."
    nothing = dataclasses.replace(
        panel.snapshot(), gpus=Missing.READ_FAILED, driver_problem=sentence
    )
    panel.tick(nothing)
    assert panel.pane.sentence.isVisible()
    assert panel.pane.sentence.text() == "No card can be read."  # Why, the banner says.
    assert "processor" in panel.pane.host.text()
    assert "GiB" in panel.pane.host.text()
    panel.tick()
    panel.draw()
    assert not panel.pane.sentence.isVisible()
    assert panel.block(0).isVisible()


def test_pause_holds_the_charts_and_back_to_live_catches_up(panel: Panel) -> None:
    for _ in range(5):
        panel.tick()
    panel.pane.hold.click()
    assert panel.pane.hold.text() == "Back to live"
    for _ in range(7):
        panel.tick()
    panel.draw()
    assert len(panel.block(0).temperature.curve.getData()[0]) == 5
    panel.pane.hold.click()
    panel.draw()
    assert len(panel.block(0).temperature.curve.getData()[0]) == 12


def test_the_chats_phases_are_shaded_on_every_card(panel: Panel) -> None:
    panel.engine.phases.begin(PhaseKind.PREFILL, panel.now_s)
    panel.engine.phases.begin(PhaseKind.DECODE, panel.now_s + 4)
    for _ in range(10):
        panel.tick()
    panel.draw()
    for place in (0, 1):
        for chart in (panel.block(place).temperature, panel.block(place).power):
            kinds = [kind for kind, _, _ in chart.bands.spans]
            assert kinds == [PhaseKind.PREFILL, PhaseKind.DECODE]


@pytest.mark.parametrize(
    ("size", "count"),
    [((274, 300), 2), ((480, 720), 2), ((480, 720), 8), ((900, 800), 2), ((1700, 950), 8)],
)
def test_nothing_is_cut_off_at_any_size(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, size: tuple[int, int], count: int
) -> None:
    apply_theme(qapp, "dark")
    panel = Panel(qtbot, tmp_path, size)
    long = "NVIDIA RTX 6000 Ada Generation Super Special Edition"
    panel.tick(panel.snapshot(count, name=long, throttle_reasons=("hw_slowdown",)))
    panel.draw()
    assert panel.pane.width() == size[0]
    for block in panel.pane.blocks.values():
        right = block.mapTo(panel.pane, block.rect().topRight()).x()
        assert right < size[0], "a block reaches over the edge"
        for label in (block.header.state, *block.header.values):
            assert label.width() >= label.sizeHint().width()
            assert label.mapTo(block, label.rect().topRight()).x() < block.width()
        facts = block.header.facts
        assert all(place.bottom() < facts.height() for place in facts.places)
        for chart in block.charts:
            assert chart.plot.width() >= 120
            assert chart.plot.height() >= 60


def test_eight_cards_fit_a_wide_window_without_scrolling(qtbot: QtBot, tmp_path: Path) -> None:
    panel = Panel(qtbot, tmp_path, (1700, 950))
    panel.tick(panel.snapshot(8))
    panel.draw()
    last = panel.block(7)
    assert not last.visibleRegion().isEmpty()
    assert last.mapTo(panel.pane, last.rect().bottomLeft()).y() <= 950


def test_a_change_of_theme_reaches_every_chart(panel: Panel) -> None:
    panel.tick()
    panel.pane.set_theme(LIGHT)
    panel.draw()
    image = panel.block(0).temperature.plot.grab().toImage()
    assert image.pixelColor(2, 2).name() == LIGHT.surface
    pen = panel.block(1).temperature.curve.opts["pen"]
    assert pen.color().name() == LIGHT.card(1)
