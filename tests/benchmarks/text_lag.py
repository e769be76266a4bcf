# SPDX-License-Identifier: MIT
"""How far the text on screen is behind the engine at 200 tokens/s, early and late in a long reply.

The engine is scripted; a token counts as shown once the pane has been painted with it.

Run: python -m tests.benchmarks.text_lag [--tokens N] [--as KIND] [--platform offscreen]
"""

import argparse
import asyncio
import sys
import time

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication

from rigpanel.engine.messages import ReplyFinished, TextGenerated
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.chat.pane import ChatPane
from rigpanel.ui.theme_apply import apply_theme
from tests.benchmarks.event_loop_delay import Heart, percentile
from tests.benchmarks.on_qt import measure_on_qt
from tests.ui.window_fixtures import STATS, ScriptedEngine

RATE_TPS = 200
AIM_LAG_MS = 50.0
WORDS = ("Some ", "**words** ", "with ", "`code`, ", "then ", "more. ", "It ", "goes ", "on.\n\n")
CODE = ("    x ", "= ", "f(", "'a', ", "1)", "  # ", "remark ", "more\n")
KINDS = {
    "paragraphs": (WORDS, "# Reply\n\n"),
    "code": (CODE, "```python\n"),
    "paragraph": (tuple(word.replace("\n\n", " ") for word in WORDS), ""),
    "table": (("| one ", "two ", "| 12 ", "| **x** ", "and ", "more |\n"), "|a|b|c|\n|-|-:|-|\n"),
}
"""What streams in: small blocks, or one that grows to the end."""


class Painted(QObject):
    """Notes when the reply's text has been painted, and how much of it."""

    def __init__(self, pane: ChatPane) -> None:
        super().__init__()
        self._pane = pane
        self.at: list[tuple[float, int]] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Note the time after the paint that this event is."""
        if event.type() == QEvent.Type.Paint and self._pane.views:
            said = self._pane.session.talk.path()[-1]
            self.at.append((time.perf_counter(), len(said.text)))
        return super().eventFilter(watched, event)


async def emit(engine: ScriptedEngine, pieces: tuple[str, ...], tokens: int) -> list[float]:
    """Let the engine say so many tokens, in time; return when each was said."""
    begun_s = time.perf_counter()
    said_s = []
    for number in range(tokens):
        wait_s = begun_s + number / RATE_TPS - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        said_s.append(time.perf_counter())
        engine.events.put_nowait(TextGenerated(pieces[number % len(pieces)], number + 1))
    return said_s


def lags_ms(
    said_s: list[float], pieces: tuple[str, ...], painted: list[tuple[float, int]]
) -> list[float]:
    """Return how long each token took from the engine to the screen."""
    lags, length, at = [], 0, 0
    for number, said in enumerate(said_s):
        length += len(pieces[number % len(pieces)])
        while at < len(painted) and (painted[at][1] < length or painted[at][0] < said):
            at += 1
        if at < len(painted):
            lags.append((painted[at][0] - said) * 1000)
    return lags


async def run(app: QApplication, tokens: int, pieces: tuple[str, ...], begin: str) -> int:
    """Stream one reply and print delays of its first and last quarter."""
    engine = ScriptedEngine()
    bridge = EngineBridge(engine)
    pane = ChatPane(bridge, WatchBridge(), apply_theme(app, "dark"))
    pane.resize(640, 900)
    pane.show()
    engine.make_ready()
    await asyncio.sleep(0.5)
    pane.composer.setPlainText("Go on")
    pane.send()
    while not engine.requests:  # noqa: ASYNC110 - nothing is signalled
        await asyncio.sleep(0.01)
    engine.events.put_nowait(TextGenerated(begin, 0))
    await asyncio.sleep(0.3)
    base = len(begin)
    painted = Painted(pane)
    pane.views[-1].browser.viewport().installEventFilter(painted)
    heart = Heart()
    heart.start()
    said_s = await emit(engine, pieces, tokens)
    await asyncio.sleep(0.3)
    delays = heart.stop()
    lags = lags_ms(said_s, pieces, [(at, length - base) for at, length in painted.at])
    quarter = len(lags) // 4
    print(f"{tokens} tokens at {RATE_TPS}/s; ms from the engine to the screen")
    for name, part in (("first quarter", lags[:quarter]), ("last quarter", lags[-quarter:])):
        print(f"{name:15}p50 {percentile(part, 0.5):6.1f}  p99 {percentile(part, 0.99):6.1f}")
    worst = percentile(lags, 0.99)
    at_most = f"p99 {percentile(delays, 0.99):6.1f}  max {max(delays):6.1f}"
    print(f"loop delay     p50 {percentile(delays, 0.5):6.1f}  {at_most}")
    ratio = percentile(lags[-quarter:], 0.5) / percentile(lags[:quarter], 0.5)
    print(f"last against first quarter {ratio:.2f}; p99 {worst:.1f} ms (aim: {AIM_LAG_MS:g} ms)")
    engine.events.put_nowait(ReplyFinished(STATS))
    await bridge.shutdown()
    pane.deleteLater()
    return 0 if worst <= AIM_LAG_MS else 1


def main() -> int:
    """Measure offscreen, unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--as", dest="kind", choices=KINDS, default="paragraphs")
    parser.add_argument("--platform", default="offscreen", help="Qt platform plugin")
    options = parser.parse_args()
    pieces, begin = KINDS[options.kind]
    return measure_on_qt(
        options.platform, lambda app, _home: run(app, options.tokens, pieces, begin)
    )


if __name__ == "__main__":
    sys.exit(main())
