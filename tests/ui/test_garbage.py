# SPDX-License-Identifier: MIT
"""Qt objects in a cycle end on the Qt thread, whichever thread allocates."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from rigpanel.ui.garbage import GarbageCollector


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_a_cycle_is_collected_on_the_qt_thread(qtbot: QtBot) -> None:
    ended_on: list[int] = []
    collector = GarbageCollector()

    def leave_a_cycle() -> None:
        thing = QObject()
        thing.myself = thing  # type: ignore[attr-defined]
        weakref.finalize(thing, lambda: ended_on.append(threading.get_ident()))

    def allocate() -> None:
        kept = [[number] for number in range(200_000)]
        del kept

    leave_a_cycle()
    worker = threading.Thread(target=allocate)
    worker.start()
    worker.join()
    assert ended_on == []
    held = [[number] for number in range(2000)]  # enough that Python would collect by now
    qtbot.waitUntil(lambda: ended_on == [threading.get_ident()], timeout=10_000)
    del held, collector
