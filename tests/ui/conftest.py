# SPDX-License-Identifier: MIT
"""What the tests of the window's parts share."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import qasync
from PySide6.QtWidgets import QApplication

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run(qapp: QApplication) -> Iterator[Run]:
    """Run a coroutine on Qt's loop, as the panel does; it must be over in 30 s."""
    loop = qasync.QEventLoop(qapp)
    asyncio.set_event_loop(loop)

    def until_done(work: Coroutine[Any, Any, None]) -> None:
        loop.run_until_complete(asyncio.wait_for(work, 30))

    yield until_done
    loop.close()
    asyncio.set_event_loop(None)
