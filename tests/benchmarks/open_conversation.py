# SPDX-License-Identifier: MIT
"""Opening a conversation of 2000 messages against one of 20: from the click to the filled pane.

Besides, how long Qt waited at the longest meanwhile.

Run: python -m tests.benchmarks.open_conversation [--rounds N] [--platform offscreen]
"""

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path

from PySide6.QtWidgets import QApplication

from rigpanel.chat.conversation import ReplyRecord
from rigpanel.chat.presets import PresetStore
from rigpanel.chat.store import ConversationStore
from rigpanel.engine.messages import Sampling
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.sampling import PRESETS
from rigpanel.storage import Storage
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.garbage import GarbageCollector
from rigpanel.ui.panes.chat.pane import ChatPane
from rigpanel.ui.panes.chat.shelf import Shelf
from rigpanel.ui.theme_apply import apply_theme
from tests.benchmarks.event_loop_delay import Heart
from tests.benchmarks.on_qt import measure_on_qt
from tests.ui.window_fixtures import STATS

AIM_RATIO = 2.0
SHORT, LONG = 20, 2000
PARAGRAPH = "Some **words** with `code` and a $x_1$ in them, as a reply has. " * 6
REPLY = (
    f"{PARAGRAPH}\n\n```python\nfor card in cards:\n    print(card.watts)\n```\n\n- one\n- two\n"
)


async def fill(store: ConversationStore, count: int) -> int:
    """Return the id of a new conversation of so many messages."""
    made = await asyncio.wrap_future(store.create(f"{count} messages"))
    parent: int | None = None
    record = ReplyRecord(STATS, None, Sampling())
    for number in range(count):
        reply = bool(number % 2)
        added = await asyncio.wrap_future(
            store.add(
                made.info.id,
                parent,
                "assistant" if reply else "user",
                REPLY if reply else f"Question {number}",
                finished=not reply,
            )
        )
        parent = added.id
        if reply:
            await asyncio.wrap_future(store.finish(parent, record))
    return made.info.id


async def open_once(pane: ChatPane, conversation: int, count: int) -> float:
    """Return the seconds until all that is near the conversation's end is painted."""
    pane.session._recent.clear()
    shown = asyncio.Event()
    pane.session.path_changed.connect(shown.set)
    begun_s = time.perf_counter()
    pane.session.open(conversation)
    await shown.wait()
    pane.session.path_changed.disconnect(shown.set)
    assert len(pane.session.talk.said) == count
    while not pane.transcript.settled:  # noqa: ASYNC110 - nothing is signalled
        await asyncio.sleep(0)
    pane.grab()
    took_s = time.perf_counter() - begun_s
    pane.new_chat()
    await asyncio.sleep(0.05)
    return took_s


async def run(app: QApplication, home: Path, rounds: int) -> int:
    """Open both in turn and print the ratio of the medians."""
    storage = Storage(home / "bench.sqlite3")
    store = ConversationStore(storage)
    engine = EngineBridge(ProcessEngine())
    shelf = Shelf(store, PresetStore(storage, PRESETS))
    window_theme = apply_theme(app, "dark")
    pane = ChatPane(engine, WatchBridge(), window_theme, shelf)
    pane.resize(640, 900)
    pane.show()
    GarbageCollector(pane)  # as the panel has one
    ids = {count: await fill(store, count) for count in (SHORT, LONG)}
    took_s: dict[int, list[float]] = {SHORT: [], LONG: []}
    waits_ms: dict[int, list[float]] = {SHORT: [], LONG: []}
    for number in range(rounds + 1):
        for count, conversation in ids.items():
            heart = Heart()
            heart.start()
            seconds = await open_once(pane, conversation, count)
            delays = heart.stop()
            if number:  # the first round imports and fills caches
                took_s[count].append(seconds)
                waits_ms[count].append(max(delays))
    short, long = (statistics.median(took_s[count]) for count in (SHORT, LONG))
    print(f"{SHORT} messages: {short * 1000:.1f} ms, {LONG} messages: {long * 1000:.1f} ms")
    for count, waits in waits_ms.items():
        print(f"{count} messages: Qt waited {statistics.median(waits):.1f} ms at the longest")
    print(f"ratio {long / short:.2f} (aim: at most {AIM_RATIO})")
    await engine.shutdown()
    storage.close(5.0)
    pane.deleteLater()
    return 0 if long / short <= AIM_RATIO else 1


def main() -> int:
    """Measure offscreen, unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--platform", default="offscreen", help="Qt platform plugin")
    options = parser.parse_args()
    return measure_on_qt(options.platform, lambda app, home: run(app, home, options.rounds))


if __name__ == "__main__":
    sys.exit(main())
