# SPDX-License-Identifier: MIT
"""The conversation store: 2000 messages opened against 20, a long reply appended to against a new.

Run: python -m tests.benchmarks.conversations [--runs N]
"""

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rigpanel.chat import rows, transfer
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
N_TOKENS = 10_000
APPENDS = 500
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


def in_pieces(db: sqlite3.Connection, message: int, text: str) -> None:
    """Append as the store does."""
    rows.add_piece(db, message, text, "")


def rewriting(db: sqlite3.Connection, message: int, text: str) -> None:
    """Append as a store would that keeps the whole text in one place."""
    db.execute("UPDATE message SET text = text || ? WHERE id = ?", (text, message))


def opening(store: ConversationStore, runs: int) -> float:
    """Print how long both open, taken by turns, and return the ratio."""

    def opened(number: int) -> Callable[[], Conversation]:
        return lambda: store.open(number).result()

    numbers = {n: filled(store, n) for n in (SHORT, LONG)}
    taken: dict[int, list[float]] = {SHORT: [], LONG: []}
    for _ in range(runs):
        for n, number in numbers.items():
            taken[n].append(seconds(opened(number)))
    medians = {n: statistics.median(times) for n, times in taken.items()}
    ratio = medians[LONG] / medians[SHORT]
    print(
        f"open {SHORT} messages {medians[SHORT] * 1e3:.2f} ms, "
        f"{LONG} {medians[LONG] * 1e3:.1f} ms: ratio {ratio:.0f} (aim: at most {OPEN_AIM:.0f})"
    )
    return ratio


def appending(
    storage: Storage,
    store: ConversationStore,
    append: Callable[[sqlite3.Connection, int, str], None],
) -> float:
    """Print what a token costs a new reply and a long one, by turns, and return the ratio."""
    conversation = store.create().result().info.id
    new, long = (
        store.add(conversation, None, "assistant", "", finished=False).result().id for _ in range(2)
    )

    def lengthen(db: sqlite3.Connection) -> None:
        for _ in range(N_TOKENS):
            append(db, long, " warm")

    def one_more(reply: int) -> Callable[[], None]:
        return lambda: storage.submit(lambda db: append(db, reply, " warm")).result()

    storage.submit(lengthen).result()
    taken: dict[int, list[float]] = {new: [], long: []}
    for _ in range(APPENDS):
        for reply, times in taken.items():
            times.append(seconds(one_more(reply)))
    new_s, long_s = (statistics.median(times) for times in taken.values())
    print(
        f"append {append.__name__}: {new_s * 1e6:.0f} µs to a new reply, {long_s * 1e6:.0f} µs to "
        f"one of {N_TOKENS} tokens: ratio {long_s / new_s:.2f}"
    )
    return long_s / new_s


def main() -> int:
    """Measure both on one file, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="openings of each length")
    parser.add_argument("--folder", help="where the file is made; /dev/shm leaves the disk out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        storage = Storage(Path(folder) / "rigpanel.sqlite3")
        store = ConversationStore(storage)
        opened = opening(store, options.runs)
        appended = appending(storage, store, in_pieces)
        appending(storage, store, rewriting)
        print(f"(aim: at most {APPEND_AIM} in pieces)")
        storage.close(30.0)
    return 0 if opened <= OPEN_AIM and appended <= APPEND_AIM else 1


if __name__ == "__main__":
    sys.exit(main())
