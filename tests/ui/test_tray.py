# SPDX-License-Identifier: MIT
"""The tray icon: legible, red only for an alert, and never in the way where there is no tray."""

from dataclasses import replace

import pytest
from PySide6.QtGui import QColor, QIcon, QImage
from pytestqt.qtbot import QtBot

from rigpanel.rig.readings import Missing, Reading
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.ui.tray import SIZES_PX, Tray, draw_icon
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.tick import Tick


@pytest.fixture
def tray(qtbot: QtBot) -> Tray:
    return Tray()


def tick(*temperatures_c: Reading[float], hot_c: float = 85.0) -> Tick:
    snapshot = SimulatedRig(lambda: 0.0).read()
    gpus = tuple(
        replace(gpu, temperature_c=value)
        for gpu, value in zip(snapshot.cards, temperatures_c, strict=True)
    )
    book = AlertBook(Thresholds(hot_c=hot_c, hold_s=0.0))
    transitions = book.step(gpus, 1.0)
    return Tick(1.0, replace(snapshot, gpus=gpus), transitions, book.standing)


def image(icon: QIcon, size_px: int) -> QImage:
    return icon.pixmap(size_px, size_px, QIcon.Mode.Normal).toImage()


def share(picture: QImage, wanted: QColor) -> float:
    """Return the share of pixels near a colour."""
    near = 0
    for y in range(picture.height()):
        for x in range(picture.width()):
            seen = picture.pixelColor(x, y)
            distance = (
                abs(seen.red() - wanted.red())
                + abs(seen.green() - wanted.green())
                + abs(seen.blue() - wanted.blue())
            )
            near += distance < 60
    return near / (picture.height() * picture.width())


@pytest.mark.parametrize("size_px", SIZES_PX)
@pytest.mark.parametrize("text", ["38", "86", "104", "?"])
def test_the_figure_is_there_at_every_size(qtbot: QtBot, size_px: int, text: str) -> None:
    picture = image(draw_icon(text, alarm=False), size_px)
    assert picture.width() == size_px
    assert share(picture, QColor("white")) > 0.03
    edge = [picture.pixelColor(x, size_px // 2).lightness() for x in (0, size_px - 1)]
    assert max(edge) < 140, "the figure is cut at the badge's edge"


def test_an_alert_is_red_and_a_calm_rig_is_not(qtbot: QtBot) -> None:
    red = QColor("#d1242f")
    assert share(image(draw_icon("86", alarm=True), 24), red) > 0.3
    assert share(image(draw_icon("86", alarm=False), 24), red) == 0


def test_figures_differ(qtbot: QtBot) -> None:
    assert image(draw_icon("68", alarm=False), 22) != image(draw_icon("86", alarm=False), 22)


def test_the_summary_tells_every_card_the_alert_and_that_it_is_simulated(tray: Tray) -> None:
    tray.take_tick(tick(61.0, 88.0))
    simulated, first, second, alert, engine = tray.tooltip.split("\n")
    assert simulated == "Simulated rig"
    assert first.startswith("GPU 0 · RTX 3090: 61 °C, ")
    assert " W, fans " in second
    assert alert == "GPU 1 · RTX 3090 rose to 88 °C, above 85 °C"
    assert engine == "No model is loaded"
    assert tray.badge == ("88", True)


def test_a_missing_temperature_is_a_word_and_never_a_figure(tray: Tray) -> None:
    tray.take_tick(tick(Missing.GPU_LOST, Missing.NOT_SUPPORTED))
    assert "GPU 0 · RTX 3090: GPU lost" in tray.tooltip
    assert "GPU 1 · RTX 3090: temperature not supported, " in tray.tooltip
    assert tray.badge == ("?", True)
    tray.take_tick(tick(Missing.READ_FAILED, 40.0))
    assert tray.badge == ("40", False)


def test_without_a_tray_it_is_not_available_and_takes_everything(tray: Tray) -> None:
    assert not tray.available
    tray.take_tick(tick(60.0, 61.0))
    tray.close()
