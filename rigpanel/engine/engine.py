# SPDX-License-Identifier: MIT
"""The engine as the rest of the program sees it, whichever process its worker runs in."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from rigpanel.engine.devices import Device
from rigpanel.engine.messages import (
    ChatRequest,
    EngineStatus,
    LoadedModel,
    ReplyEvent,
)
from rigpanel.fit.load_settings import LoadSettings


class Engine(ABC):
    """One model at a time; every method is called on the thread of the running asyncio loop."""

    @property
    @abstractmethod
    def status(self) -> EngineStatus:
        """What the engine is doing now."""

    @property
    def pid(self) -> int | None:
        """Process that holds the model's memory, while there is one."""
        return None

    @abstractmethod
    def add_listener(self, listener: Callable[[EngineStatus], None]) -> None:
        """Call `listener` on the loop's thread after each change of status."""

    @abstractmethod
    async def load(
        self, settings: LoadSettings, on_progress: Callable[[float], None]
    ) -> LoadedModel:
        """Load a model, in place of the one loaded; progress runs from 0 to 1.

        Raises LoadCancelledError after `cancel`, EngineDiedError when the process ended,
        EngineError for everything else (bad file, busy, out of memory, refused settings).
        """

    @abstractmethod
    async def devices(self, rpc_servers: tuple[str, ...] = ()) -> tuple[Device, ...]:
        """Return llama.cpp's devices on this machine, then those of each RPC server, in order.

        Works at any time, a load or reply under way included; of a server that the loaded model
        uses (it answers nobody else) the memory is told as it was before the load. Raises
        EngineError naming the server that does not answer.
        """

    @abstractmethod
    def chat(self, request: ChatRequest) -> AsyncIterator[ReplyEvent]:
        """Generate one reply; its last event is ReplyFinished, also after `cancel`.

        Raises EngineError (nothing loaded, busy, prompt too long), EngineDiedError.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Stop the load or reply under way; does nothing when there is none."""

    @abstractmethod
    async def unload(self) -> None:
        """Give all of the model's memory back."""

    @abstractmethod
    async def stop(self) -> None:
        """End the engine and everything it started; it can be loaded again afterwards."""
