# SPDX-License-Identifier: MIT
"""The conversation store: opening 2000 messages against 20, appending late against early.

Run: python -m tests.benchmarks.conversations [--runs N]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rigpanel.chat import transfer
from rigpanel.chat.conversation import Conversation, ConversationInfo, Message, ReplyRecord
from rigpanel.chat.store import ConversationStore
from rigpanel.engine.messages import FinishReason, ReplyStats, Sampling
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.rig.energy import CardEnergy
from rigpanel.storage import Storage

LONG, SHORT = 2000, 20
OPEN_AIM = float(LONG / SHORT)
"""Opening may take as many times longer as there are more messages: nothing is asked for one by
one."""
TOKENS = 10_000
WINDOW = 500
"""Appends timed at the reply's beginning and at its end."""
APPEND_AIM = 1.5
PARAGRAPH = "The lower card takes the warm air of the upper one, so its fans run faster. " * 6
RECORD = ReplyRecord(
    ReplyStats(FinishReason.STOP, 280, 250, 110, 0.41, 350.2, 17.1, 0.4, 6.3),
    LoadSettings(Path("/models/a.gguf"), n_ctx=32768),
    Sampling(),
    (CardEnergy("GPU-a", "GPU 0 · RTX 3090", 812.0), CardEnergy("GPU-b", "GPU 1", 788.0)),
)


def filled(store: ConversationStore, n_messages: int) -> int:
    """Make a conversation of turns of the usual length, replies with all their figures."""
    messages = {
        n: Message(
            id=n,
            parent=n - 1 or None,
            role=("assistant", "user")[n % 2],
            text=PARAGRAPH,
            reasoning="",
            model="Llama 8B",
            created_s=1.7e9 + n,
            finished=True,
            note="",
            record=None if n % 2 else replace(RECORD, stats=replace(RECORD.stats, n_gen=n)),
        )
        for n in range(1, n_messages + 1)
    }
    info = ConversationInfo(0, "Made", 1.7e9, 1.7e9, n_messages, "")
    text = transfer.to_json(Conversation(info, messages, n_messages))
    return store.import_json(text).result().id


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def rewriting(storage: Storage, message: int, text: str) -> None:
    """Append as a store would that keeps the whole text in one place."""
    storage.submit(
        lambda db: db.execute("UPDATE message SET text = text || ? WHERE id = ?", (text, message))
    ).result()


def first_and_last(append: Callable[[str], object]) -> tuple[float, float]:
    """Append a token at a time; return the medians of the first and of the last of them."""
    taken = [seconds(lambda: append(" warm")) for _ in range(TOKENS)]
    return statistics.median(taken[:WINDOW]), statistics.median(taken[-WINDOW:])


def opening(store: ConversationStore, runs: int) -> float:
    """Print how long both open, taken by turns, and return the ratio."""
    numbers = {n: filled(store, n) for n in (SHORT, LONG)}
    taken: dict[int, list[float]] = {SHORT: [], LONG: []}
    for _ in range(runs):
        for n, number in numbers.items():
            taken[n].append(seconds(lambda number=number: store.open(number).result()))  # type: ignore[misc]
    medians = {n: statistics.median(times) for n, times in taken.items()}
    ratio = medians[LONG] / medians[SHORT]
    print(
        f"open {SHORT} messages {medians[SHORT] * 1e3:.2f} ms, "
        f"{LONG} {medians[LONG] * 1e3:.1f} ms: ratio {ratio:.0f} (aim: at most {OPEN_AIM:.0f})"
    )
    return ratio


def appending(store: ConversationStore, storage: Storage) -> float:
    """Print what a token costs early and late in a reply, in pieces and in one text."""
    conversation = store.create().result().info.id
    reply, other = (
        store.add(conversation, None, "assistant", "", finished=False).result().id for _ in "ab"
    )
    ratios = []
    for name, append in (
        ("in pieces", lambda text: store.append(reply, text).result()),
        ("rewriting the text", lambda text: rewriting(storage, other, text)),
    ):
        first_s, last_s = first_and_last(append)
        ratios.append(last_s / first_s)
        print(
            f"append {name}: {first_s * 1e6:.0f} µs at the beginning, {last_s * 1e6:.0f} µs "
            f"after {TOKENS} tokens: ratio {ratios[-1]:.2f}"
        )
    folded_s = seconds(lambda: store.finish(reply, RECORD).result())
    print(
        f"(aim: at most {APPEND_AIM} in pieces; folding them in the end: {folded_s * 1e3:.1f} ms)"
    )
    return ratios[0]


def main() -> int:
    """Measure both on one file, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="openings of each length")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(Path(folder) / "rigpanel.sqlite3")
        store = ConversationStore(storage)
        opened = opening(store, options.runs)
        appended = appending(store, storage)
        storage.close(30.0)
    return 0 if opened <= OPEN_AIM and appended <= APPEND_AIM else 1


if __name__ == "__main__":
    sys.exit(main())
