# SPDX-License-Identifier: MIT
"""Draws the panel's own window into a picture, with real readings or the simulated rig's."""

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from rigpanel import paths
from rigpanel.app import (
    SAVE_END_S,
    helper_of,
    loop_of,
    make_application,
    make_engine,
    make_outside,
    make_shelf,
    thresholds_in,
)
from rigpanel.errors import RigpanelError
from rigpanel.fit.profiles import ProfileStore
from rigpanel.rig import open_source
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.settings import SettingsStore
from rigpanel.storage import FILE_NAME, Storage
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.main_window import MainWindow
from rigpanel.ui.panes.chat.pane import ChatPane
from rigpanel.ui.theme_apply import apply_theme
from rigpanel.watch.alerts import AlertBook
from rigpanel.watch.sampler import Sampler
from rigpanel.watch.tick import Tick

STORY_BEFORE_S = 300
"""A picture of the simulated rig shows this much of its past."""
TICKS, INTERVAL_S = 8, 0.25
"""A picture of the real rig shows a few seconds of it."""
PATIENCE_S = 15.0
DRAWN_S = 0.5

log = logging.getLogger(__name__)


def take_screenshot(out: Path, *, pane: str, demo: bool, size: tuple[int, int], theme: str) -> None:
    """Draw the real window with real readings into a PNG; raises RigpanelError."""
    app = make_application(["rigpanel"])
    settings = SettingsStore(paths.config_dir() / "settings.toml")
    chosen = apply_theme(app, theme)

    async def main() -> bool:
        watch = WatchBridge()
        engine = EngineBridge(make_engine(settings))
        storage = Storage(paths.data_dir() / FILE_NAME)
        helper = helper_of(SimulatedRig() if demo else None, watch)
        profiles, shelf = ProfileStore(storage), make_shelf(storage)
        window = MainWindow(
            settings, watch, engine, chosen, profiles, shelf, helper=helper, outside=make_outside()
        )
        helper.start()
        window.show_pane(pane)
        window.build_now()
        window.resize(*size)
        window.show()
        if demo:
            for tick in _story(settings):
                watch.on_tick(tick)
        else:
            await _watch_a_while(settings, watch)
        await asyncio.sleep(DRAWN_S)
        await _opened(window.chat_pane)
        window.monitor_pane.draw_now()  # A busy machine's clock may not have come to every chart.
        await asyncio.sleep(0)
        saved = window.grab().save(str(out), "PNG")
        helper.stop()
        await engine.shutdown()
        storage.close(SAVE_END_S)
        window.deleteLater()
        return bool(saved)

    with loop_of(app) as loop:
        if not loop.run_until_complete(main()):
            raise RigpanelError(f"{out} cannot be written. Check the folder's rights and space.")


async def _opened(chat: ChatPane) -> None:
    """Wait until the conversation that was open last is shown, if there is one."""
    end_s = time.monotonic() + PATIENCE_S
    while chat.session.opening or not chat.transcript.settled:
        if time.monotonic() > end_s:
            log.warning("the conversation was not read in time; the picture is without it")
            break
        await asyncio.sleep(0.02)


async def _watch_a_while(settings: SettingsStore, watch: WatchBridge) -> None:
    """Read the real rig some times, as the panel does, or give up on a driver that hangs."""
    loop = asyncio.get_running_loop()
    ticks: asyncio.Queue[Tick] = asyncio.Queue()

    def on_tick(tick: Tick) -> None:
        loop.call_soon_threadsafe(ticks.put_nowait, tick)

    sampler = Sampler(
        open_source(demo=False),
        AlertBook(thresholds_in(settings)),
        INTERVAL_S,
        on_tick,
    )
    sampler.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(TICKS):
                watch.on_tick(await ticks.get())
    except TimeoutError:
        log.warning("the driver does not answer; the picture shows what it told")
    finally:
        sampler.stop()


def _story(settings: SettingsStore) -> Iterator[Tick]:
    """Yield minutes of the simulated rig, up to now."""
    book = AlertBook(thresholds_in(settings))
    now = time.monotonic()
    clock_s = now - STORY_BEFORE_S
    rig = SimulatedRig(lambda: clock_s)
    for second in range(STORY_BEFORE_S + 1):
        clock_s = now - STORY_BEFORE_S + second
        snapshot = rig.read()
        yield Tick(clock_s, snapshot, book.step(snapshot.cards, snapshot.time_s), book.standing)
