# SPDX-License-Identifier: MIT
"""Runs a measurement on Qt's loop, with settings and data of its own."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import qasync
from PySide6.QtWidgets import QApplication


def measure_on_qt(
    platform: str, work: Callable[[QApplication, Path], Coroutine[Any, Any, int]]
) -> int:
    """Return what `work` does, given the application and a folder to leave things in."""
    os.environ["QT_QPA_PLATFORM"] = platform
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RIGPANEL_HOME"] = folder
        app = QApplication(["rigpanel"])
        loop = qasync.QEventLoop(app)
        asyncio.set_event_loop(loop)
        with loop:
            status: int = loop.run_until_complete(work(app, Path(folder)))
    return status
