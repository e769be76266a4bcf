# SPDX-License-Identifier: MIT
"""A session in the test's own thread, and what its replies say and tell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigpanel.engine.llama.runtime import prepare
from rigpanel.engine.llama.session import Session
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    ContextNearlyFull,
    PrefillProgressed,
    ReplyFinished,
    ReplyStats,
    Sampling,
    TextGenerated,
    TurnsDropped,
    WhenFull,
)
from rigpanel.fit.load_settings import LoadSettings


def never() -> bool:
    return False


@contextmanager
def session(model: Path, **changes: Any) -> Iterator[Session]:
    """Load a model so that what it says hangs on nothing but its tokens."""
    prepare()
    settings = LoadSettings(model, **{"threads": 1, "type_k": "f32", "type_v": "f32", **changes})
    opened = Session(settings, lambda _: None, never)
    try:
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True)
class Reply:
    text: str
    thought: str
    stats: ReplyStats
    n_dropped: int
    nearly_full: list[ContextNearlyFull]
    pieces: list[str]


def talk(*texts: str, system: str = "") -> tuple[ChatMessage, ...]:
    """Return messages that are the user's and the model's in turn."""
    roles = ("user", "assistant")
    said = tuple(ChatMessage(roles[i % 2], text) for i, text in enumerate(texts))
    return (ChatMessage("system", system), *said) if system else said


def reply(
    opened: Session,
    *texts: str,
    system: str = "",
    when_full: WhenFull = WhenFull.STOP,
    cancelled: Callable[[], bool] = never,
    **sampling: Any,
) -> Reply:
    """Have the next reply written."""
    request = ChatRequest(talk(*texts, system=system), Sampling(**sampling), when_full)
    pieces: list[str] = []
    thought, n_dropped, n_done = "", 0, 0
    nearly_full: list[ContextNearlyFull] = []
    for event in opened.chat(request, cancelled):
        match event:
            case TextGenerated(text, _, reasoning):
                thought += text if reasoning else ""
                pieces += [] if reasoning else [text]
            case TurnsDropped(n_messages):
                assert n_done == 0
                n_dropped = n_messages
            case ContextNearlyFull():
                nearly_full.append(event)
            case PrefillProgressed():
                n_done = event.n_done
            case ReplyFinished(stats):
                return Reply("".join(pieces), thought, stats, n_dropped, nearly_full, pieces)
    raise AssertionError("the reply had no end")
