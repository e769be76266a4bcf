# SPDX-License-Identifier: MIT
"""Brings what is said to disk, in order; what cannot be written waits until it can."""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from rigpanel.chat.conversation import Conversation, Message, ReplyRecord
from rigpanel.chat.store import ConversationStore
from rigpanel.errors import RigpanelError
from rigpanel.storage import StorageError
from rigpanel.ui.panes.chat.talk import Said, Talk, root_of

RETRY_MS = 3000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    start: Callable[[], Future[Any]]
    done: Callable[[Any], None]
    appends_to: Said | None = None
    text: str = ""
    reasoning: str = ""


class Keeper(QObject):
    """A queue before the store: one write at a time, each sent again until the disk takes it."""

    trouble_changed = Signal(str)
    """Why nothing can be written now, in a sentence; empty once it works again."""
    kept = Signal()
    """The file has changed."""
    _answered = Signal(object)

    def __init__(self, store: ConversationStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._jobs: deque[_Job] = deque()
        self._running = False
        self._trouble = ""
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.setInterval(RETRY_MS)
        self._retry.timeout.connect(self._next)
        self._answered.connect(self._take)

    @property
    def idle(self) -> bool:
        """Whether everything has been written."""
        return not self._jobs

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty while it works."""
        return self._trouble

    def create(self, talk: Talk) -> None:
        """Begin a conversation in the file."""

        def done(made: Conversation) -> None:
            talk.stored, talk.root = made.info.id, made.leaf  # its system message, if any

        self._put(_Job(lambda: self._store.create(talk.title, talk.system), done))

    def add(self, talk: Talk, said: Said) -> None:
        """Keep a message, below what has been kept before it."""

        def start() -> Future[Message]:
            parent = talk.root if said.parent is None else talk.said[said.parent].stored
            return self._store.add(
                self._id(talk), parent, said.role, text, model=said.model, finished=finished
            )

        def done(message: Message) -> None:
            said.stored = message.id

        text, finished = said.text, said.finished
        self._put(_Job(start, done))

    def append(self, said: Said, text: str, reasoning: str) -> None:
        """Keep what a reply has grown by; what still waits for the disk grows with it."""
        waiting = len(self._jobs) > (1 if self._running else 0)
        last = self._jobs[-1] if waiting else None
        if last is not None and last.appends_to is said:
            last.text += text
            last.reasoning += reasoning
            return
        job = _Job(lambda: self._store.append(said.stored or 0, job.text, job.reasoning), _nothing)
        job.appends_to, job.text, job.reasoning = said, text, reasoning
        self._put(job)

    def finish(self, said: Said, record: ReplyRecord | None, note: str) -> None:
        """Keep that a reply has ended, and what it took."""
        self._put(_Job(lambda: self._store.finish(said.stored or 0, record, note), _nothing))

    def choose(self, talk: Talk, said: Said) -> None:
        """Keep which branch is shown."""
        self._put(_Job(lambda: self._store.choose(self._id(talk), said.stored or 0), _nothing))

    def rename(self, talk: Talk, title: str) -> None:
        """Keep another title."""
        self._put(_Job(lambda: self._store.rename(self._id(talk), title), _nothing))

    def set_system(self, talk: Talk) -> None:
        """Keep another system prompt."""

        def done(conversation: Conversation) -> None:
            talk.root = root_of(conversation)

        text = talk.system
        self._put(_Job(lambda: self._store.set_system(self._id(talk), text), done))

    def _id(self, talk: Talk) -> int:
        return talk.stored or 0

    def _put(self, job: _Job) -> None:
        self._jobs.append(job)
        if not self._retry.isActive():
            self._next()

    @Slot()
    def _next(self) -> None:
        if self._jobs and not self._running:
            self._running = True
            self._jobs[0].start().add_done_callback(self._tell)

    def _tell(self, future: Future[Any]) -> None:
        try:
            self._answered.emit(future)
        except RuntimeError:  # the window is gone, and with it what Qt held of this
            log.warning("the disk answered after the window was closed")

    @Slot(object)
    def _take(self, future: Future[Any]) -> None:
        self._running = False
        try:
            result = future.result()
        except StorageError as error:
            self._tell_trouble(str(error))
            self._retry.start()
            return
        except RigpanelError as error:  # the conversation has been taken away meanwhile
            log.warning("%s", error)
            self._jobs.popleft()
        else:
            self._jobs.popleft().done(result)
            self._tell_trouble("")
        if not self._jobs:
            self.kept.emit()
        self._next()

    def _tell_trouble(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self.trouble_changed.emit(sentence)


def _nothing(_: object) -> None:
    """Take an answer nobody needs."""
