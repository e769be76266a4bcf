# SPDX-License-Identifier: MIT
"""What both kinds of engine share: one job at a time, events to whoever waits for them."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable

from rigpanel.engine.engine import Engine
from rigpanel.engine.events import (
    Cancel,
    Chat,
    Command,
    Event,
    Failed,
    Load,
    LoadProgressed,
    ModelLoaded,
    Unloaded,
)
from rigpanel.engine.messages import (
    ChatRequest,
    EngineDiedError,
    EngineError,
    EngineState,
    EngineStatus,
    LoadCancelledError,
    LoadedModel,
    ReplyEvent,
    ReplyFinished,
)
from rigpanel.fit.load_settings import LoadSettings


class WorkerEngine(Engine):
    """The state of one engine; subclasses bring the worker to life and carry messages."""

    def __init__(self) -> None:
        self._status = EngineStatus(EngineState.STOPPED)
        self._listeners: list[Callable[[EngineStatus], None]] = []
        self._job = 0
        self._cancelled_job = 0
        self._lifecycle = asyncio.Lock()
        """Held while the worker is brought to life or ended, so that neither meets half of it."""
        self._loading: asyncio.Future[LoadedModel] | None = None
        self._on_progress: Callable[[float], None] | None = None
        self._reply: asyncio.Queue[ReplyEvent | EngineError] | None = None
        self._settings: LoadSettings | None = None
        """Of the last load, to be told should the engine die."""

    @property
    def status(self) -> EngineStatus:
        """What the engine is doing now."""
        return self._status

    def add_listener(self, listener: Callable[[EngineStatus], None]) -> None:
        """Call `listener` on the loop's thread after each change of status."""
        self._listeners.append(listener)

    @abstractmethod
    async def _start(self, settings: LoadSettings, /) -> None:
        """Bring a worker to life that can load these; raises EngineError."""

    def _begin_reply(self) -> None:
        """Take note that a reply is asked for now."""

    @abstractmethod
    def _post(self, command: Command) -> None:
        """Send a command to the worker."""

    async def load(
        self, settings: LoadSettings, on_progress: Callable[[float], None]
    ) -> LoadedModel:
        """Load a model; see Engine."""
        self._refuse_when_busy()
        loading: asyncio.Future[LoadedModel] = asyncio.get_running_loop().create_future()
        self._loading = loading
        self._on_progress = on_progress
        self._settings = settings
        self._job += 1
        self._set(EngineStatus(EngineState.LOADING))
        posted = False
        try:
            async with self._lifecycle:
                await self._start(settings)
                self._refuse_when_cancelled()
                self._post(Load(self._job, settings))
                posted = True
            return await loading
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            loading.cancel()  # Whoever waits for its end has it, where it never began too.
            self._loading = self._on_progress = None
            if not posted and self._status.state is EngineState.LOADING:
                self._set(EngineStatus(EngineState.EMPTY))

    async def chat(self, request: ChatRequest) -> AsyncIterator[ReplyEvent]:
        """Generate one reply; see Engine."""
        self._refuse_when_busy()
        if self._status.state is not EngineState.READY:
            raise EngineError("No model is loaded. Load one first.")
        events: asyncio.Queue[ReplyEvent | EngineError] = asyncio.Queue()
        self._reply = events
        self._job += 1
        self._set(EngineStatus(EngineState.GENERATING, self._status.model))
        self._begin_reply()
        self._post(Chat(self._job, request))
        ended = False
        try:
            while not ended:
                event = await events.get()
                ended = isinstance(event, (ReplyFinished, EngineError))
                if isinstance(event, EngineError):
                    raise event
                yield event
        finally:
            if not ended:  # Whoever listened left early: the next reply must find the engine idle.
                self.cancel()
            while not ended:
                ended = isinstance(await events.get(), (ReplyFinished, EngineError))
            if self._reply is events:  # One left at its last event is closed some time later.
                self._reply = None

    def cancel(self) -> None:
        """Stop the load or reply under way."""
        if self._status.state in {EngineState.LOADING, EngineState.GENERATING}:
            self._cancelled_job = self._job
            self._post(Cancel(self._job))

    def _refuse_when_cancelled(self) -> None:
        if self._cancelled_job >= self._job:
            raise LoadCancelledError("The load was cancelled.")

    def _refuse_when_busy(self) -> None:
        if self._status.state is EngineState.LOADING:
            raise EngineError("A model is being loaded. Wait for it, or cancel it first.")
        if self._status.state is EngineState.GENERATING:
            raise EngineError("A reply is being written. Wait for it, or stop it first.")

    def _set(self, status: EngineStatus) -> None:
        self._status = status
        for listener in list(self._listeners):
            listener(status)

    def _take(self, event: Event) -> None:
        """Take one event from the worker, on the loop's thread."""
        if isinstance(event, LoadProgressed):
            if self._on_progress is not None:
                self._on_progress(event.fraction)
        elif isinstance(event, ModelLoaded):
            self._set(EngineStatus(EngineState.READY, event.model))
            if self._loading is not None and not self._loading.done():
                self._loading.set_result(event.model)
        elif isinstance(event, Failed):
            self._take_failure(event)
        elif isinstance(event, Unloaded):
            self._set(EngineStatus(EngineState.EMPTY))
        elif isinstance(event, ReplyEvent):
            if isinstance(event, ReplyFinished):
                self._set(EngineStatus(EngineState.READY, self._status.model))
            if self._reply is not None:
                self._reply.put_nowait(event)

    def _take_failure(self, event: Failed) -> None:
        error: EngineError = (
            LoadCancelledError(event.sentence) if event.cancelled else EngineError(event.sentence)
        )
        if self._status.state is EngineState.LOADING:
            self._set(EngineStatus(EngineState.EMPTY))
        elif self._status.state is EngineState.GENERATING:
            self._set(EngineStatus(EngineState.READY, self._status.model))
        self._fail(error)

    def _fail(self, error: EngineError) -> None:
        if self._loading is not None and not self._loading.done():
            self._loading.set_exception(error)
        elif self._reply is not None:
            self._reply.put_nowait(error)

    def _ended(
        self,
        problem: str | None,
        log_tail: tuple[str, ...] = (),
        error: EngineError | None = None,
    ) -> None:
        """Take note that the worker is gone; `problem` says how when nobody asked for it.

        The job under way fails with `error`, or with one that tells the problem.
        """
        settings = self._settings if problem else None
        self._set(EngineStatus(EngineState.STOPPED, None, problem, log_tail, settings))
        self._fail(error or EngineDiedError(problem or "The engine was stopped."))
