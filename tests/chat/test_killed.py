# SPDX-License-Identifier: MIT
"""A panel that is killed while a reply streams loses nothing older than a second."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from rigpanel.chat.store import ConversationStore
from rigpanel.storage import Storage
from tests.chat.driving import LIMIT_S, Clock, begun, opened, titles

BRIEF_ROUNDS = 9
LONG_ROUND_S = 2.2
"""Long enough that a store which falls behind is more than a second late."""
STREAM = """
import sys, time
from pathlib import Path
from rigpanel.chat.store import ConversationStore
from rigpanel.storage import Storage
path, conversation, parent = sys.argv[1:]
store = ConversationStore(Storage(Path(path)))
reply = store.add(int(conversation), int(parent), "assistant", "", finished=False).result().id
print(reply, flush=True)
number = 0
while True:
    saved = store.append(reply, f"{number} {time.time()!r}\\n", f"thought {number} ")
    number += 1
    time.sleep(0.02)
"""


def streamed_until_killed(path: Path, conversation: int, parent: int, after_s: float) -> int:
    """Stream a reply in a process of its own, kill it, and return the reply's id."""
    with subprocess.Popen(
        [sys.executable, "-c", STREAM, str(path), str(conversation), str(parent)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        reply = int(child.stdout.readline())
        time.sleep(after_s)
        child.kill()
        assert child.wait(LIMIT_S) == -signal.SIGKILL
    return reply


def test_a_killed_panel_loses_nothing_older_than_a_second(path: Path, clock: Clock) -> None:
    storage = Storage(path)
    conversation = begun(ConversationStore(storage, clock), "Stream.")
    assert storage.close(LIMIT_S)
    assert conversation.leaf is not None
    chance = random.Random(20261125)  # noqa: S311 - moments, no secrets
    moments_s = [chance.uniform(0.0, 0.4) for _ in range(BRIEF_ROUNDS)]
    for after_s in (*moments_s, LONG_ROUND_S):
        reply = streamed_until_killed(path, conversation.info.id, conversation.leaf, after_s)
        killed_s = time.time()
        storage = Storage(path)
        store = ConversationStore(storage, clock)
        message = opened(store, conversation.info.id).messages[reply]
        lines = [line.split() for line in message.text.splitlines()]
        assert [int(number) for number, _ in lines] == list(range(len(lines)))
        assert message.reasoning == "".join(f"thought {n} " for n in range(len(lines)))
        newest_s = float(lines[-1][1]) if lines else message.created_s
        assert killed_s - newest_s < 1.0
        assert not message.finished
        assert titles(store, f"{lines[-1][1]}" if lines else "Stream") == ["Stream."]
        assert storage.close(LIMIT_S)
        assert storage.problems == ()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT count(*) FROM piece").fetchone() == (0,)
