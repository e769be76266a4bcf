# SPDX-License-Identifier: MIT
"""How late the window's event loop runs: idle, loading, streaming, and with eight busy cards.

Run: python -m tests.benchmarks.event_loop_delay [--seconds S] [--threads N] [--platform offscreen]
"""

import argparse
import asyncio
import dataclasses
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import qasync
from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from rigpanel.app import import_later
from rigpanel.engine.messages import EngineState
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.rig.readings import GpuSample, RigSnapshot
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.rig.source import RigSource
from rigpanel.settings import INTERVAL_S, SettingsStore
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.main_window import MainWindow
from rigpanel.ui.theme_apply import apply_theme
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.sampler import Sampler

BEAT_MS = 5
LIMIT_S = 120.0
AIM_FACTOR, AIM_EXTRA_MS = 2.0, 16.0
"""p99 while streaming is at most this many times p99 idle, plus this."""
SHAPE = DemoShape(n_embd=768, n_layer=12, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=8192)
"""About 90 million parameters: a second or so to load, tens of tokens a second on two cores."""
PROMPT = "What do the cards of this rig do while they read a prompt? " * 12


class Heart(QObject):
    """A timer that should beat every BEAT_MS, and how late each beat was."""

    def __init__(self) -> None:
        super().__init__()
        self.delays_ms: list[float] = []
        self._clock = QElapsedTimer()
        self._clock.start()
        self._due_ms = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Begin to count anew."""
        self.delays_ms = []
        self._arm()

    def stop(self) -> list[float]:
        """End, and return every beat's delay in ms."""
        self._timer.stop()
        return self.delays_ms

    def _arm(self) -> None:
        self._due_ms = self._clock.nsecsElapsed() / 1e6 + BEAT_MS
        self._timer.start(BEAT_MS)

    @Slot()
    def _beat(self) -> None:
        self.delays_ms.append(max(0.0, self._clock.nsecsElapsed() / 1e6 - self._due_ms))
        self._arm()


class EightCards:
    """Two simulated cards, four times over, under names of their own."""

    simulated = True

    def __init__(self) -> None:
        self._rig = SimulatedRig()

    def read(self) -> RigSnapshot:
        """Return one reading of all eight."""
        snapshot = self._rig.read()
        cards: list[GpuSample] = [
            dataclasses.replace(card, index=copy * 2 + card.index, uuid=f"{card.uuid[:-1]}{copy}")
            for copy in range(4)
            for card in snapshot.cards
        ]
        return dataclasses.replace(snapshot, gpus=tuple(cards))

    def close(self) -> None:
        """Let go of the two."""
        self._rig.close()


class Bench(QObject):
    """The real window with its bridges, engine process and sampler, and a heart beside them."""

    def __init__(self, home: Path, source: RigSource, interval_s: float) -> None:
        super().__init__()
        self._heard = False
        settings = SettingsStore(home / "settings.toml")
        settings.set(INTERVAL_S, interval_s)
        self.heart = Heart()
        self.watch = WatchBridge()
        self.engine = EngineBridge(ProcessEngine())
        self.engine.text_ready.connect(self._hear)
        self.window = MainWindow(settings, self.watch, self.engine)
        self.window.resize(1920, 1080)
        self.window.show()
        book = AlertBook(Thresholds(85.0, 82.0, 3.0))
        self._sampler = Sampler(source, book, interval_s, self.watch.on_tick)
        self._sampler.start()

    async def measure(self, work: Coroutine[None, None, None]) -> list[float]:
        """Return the delays of every beat while `work` goes on."""
        gc.collect()
        self.heart.start()
        await work
        return self.heart.stop()

    async def load(self, settings: LoadSettings, seconds: float) -> None:
        """Load once, and again and again for `seconds`, as the load pane does."""
        until = time.monotonic() + seconds
        while True:
            self.engine.load(settings)
            await self._reach(EngineState.LOADING)
            await self._reach(EngineState.READY)
            if time.monotonic() >= until:
                return

    async def stream(self, seconds: float) -> None:
        """Send from the chat pane, as a person does, and stop after `seconds` of text."""
        chat = self.window.chat_pane
        self._heard = False
        chat.composer.setPlainText(PROMPT)
        chat.send()
        await self._reach(EngineState.GENERATING)
        await self._until(lambda: self._heard)
        await asyncio.sleep(seconds)
        self.engine.cancel()
        await self._reach(EngineState.READY)

    @Slot()
    def _hear(self) -> None:
        self._heard = True

    async def _reach(self, state: EngineState) -> None:
        await self._until(lambda: self.engine.status.state is state)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds():  # noqa: ASYNC110 - a person looks again too; nothing is signalled
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """End the engine, the sampler and the window."""
        await self.engine.shutdown()
        await self._until(lambda: self._sampler.stop(0.02))
        self.window.hide()
        self.window.deleteLater()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of them lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def run(home: Path, model: Path, seconds: float, threads: int | None) -> int:
    """Measure each state in turn, print a line for each, and hold streaming to its aim."""
    settings = LoadSettings(model=model, n_ctx=4096, threads=threads, use_mmap=False)
    delays: dict[str, list[float]] = {}
    bench = Bench(home, SimulatedRig(), 1.0)
    await asyncio.sleep(2.0)  # first frames, first readings
    await asyncio.to_thread(import_later)  # as the panel does then
    delays["idle"] = await bench.measure(asyncio.sleep(seconds))
    delays["loading"] = await bench.measure(bench.load(settings, seconds))
    delays["streaming"] = await bench.measure(bench.stream(seconds))
    await bench.close()
    bench = Bench(home, EightCards(), 0.1)
    await asyncio.sleep(2.0)
    delays["eight cards at 10/s"] = await bench.measure(asyncio.sleep(seconds))
    await bench.load(settings, 0.0)
    delays["eight cards, streaming"] = await bench.measure(bench.stream(seconds))
    await bench.close()
    print(f"event-loop delay in ms, a beat every {BEAT_MS} ms, {os.cpu_count()} CPUs")
    print(f"{'':24}{'beats':>7}{'p50':>8}{'p99':>8}{'max':>8}")
    for name, values in delays.items():
        figures = "".join(
            f"{value:8.1f}"
            for value in (percentile(values, 0.5), percentile(values, 0.99), max(values))
        )
        print(f"{name:24}{len(values):7}{figures}")
    limit = AIM_FACTOR * percentile(delays["idle"], 0.99) + AIM_EXTRA_MS
    streaming = percentile(delays["streaming"], 0.99)
    print(f"p99 streaming {streaming:.1f} ms (aim: at most {limit:.1f} ms)")
    return 0 if streaming <= limit else 1


def main() -> int:
    """Make the model, open the window offscreen (unless told otherwise) and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument(
        "--threads", type=int, help="the engine's threads (default: its own choice)"
    )
    parser.add_argument("--platform", default="offscreen", help="Qt platform plugin")
    options = parser.parse_args()
    os.environ["QT_QPA_PLATFORM"] = options.platform
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["RIGPANEL_HOME"] = folder
        model = write_demo_model(home / "model.gguf", SHAPE)
        print(f"model: {model.stat().st_size / 2**20:.0f} MiB of random weights")
        app = QApplication(["rigpanel"])
        app.setQuitOnLastWindowClosed(False)
        apply_theme(app, "dark")
        loop = qasync.QEventLoop(app)
        asyncio.set_event_loop(loop)
        with loop:
            status: int = loop.run_until_complete(
                run(home, model, options.seconds, options.threads)
            )
    return status


if __name__ == "__main__":
    sys.exit(main())
