# SPDX-License-Identifier: MIT
"""Drives an engine for a test, and sees that it leaves nothing behind."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    ReplyFinished,
    ReplyStats,
    Sampling,
    TextGenerated,
)

Kind = Callable[[], Engine]


def run(kind: Kind, work: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run `work` with an engine, stop it, and see that no thread, process or descriptor stays."""
    before = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting needs no paths
    left: list[int] = []

    async def main() -> None:
        engine = kind()
        try:
            await work(engine)
        finally:
            pid = engine.pid
            await engine.stop()
            if pid is not None and pid != os.getpid():
                left.append(pid)

    asyncio.run(main())
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert len(os.listdir("/proc/self/fd")) <= descriptors  # noqa: PTH208


def quiet(_: float) -> None:
    """Take progress that nobody asks for."""


def ask(text: str, **sampling: Any) -> ChatRequest:
    return ChatRequest((ChatMessage("user", text),), Sampling(**sampling))


async def reply(engine: Engine, request: ChatRequest) -> tuple[str, ReplyStats]:
    text = ""
    async for event in engine.chat(request):
        if isinstance(event, TextGenerated):
            text += event.text
        elif isinstance(event, ReplyFinished):
            return text, event.stats
    raise AssertionError("the reply had no end")
