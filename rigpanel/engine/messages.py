# SPDX-License-Identifier: MIT
"""What is said to the engine and what it says back; frozen values that travel as JSON."""

import enum
from dataclasses import dataclass, field

from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings


class EngineError(RigpanelError):
    """The engine could not do what was asked; it is still there and can be asked again."""


class LoadCancelledError(EngineError):
    """The load was cancelled; nothing is loaded."""


class EngineDiedError(EngineError):
    """The engine's process ended; the text says how (signal, last log line)."""


class EngineState(enum.Enum):
    """What the engine is doing."""

    STOPPED = "stopped"
    """No process yet, or none any more; the next load starts one."""
    EMPTY = "empty"
    LOADING = "loading"
    READY = "ready"
    GENERATING = "generating"


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """Memory that llama.cpp reported as allocated on one device, in MiB."""

    device: str
    weights_mib: float
    kv_mib: float
    compute_mib: float


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What a finished load produced."""

    settings: LoadSettings
    """As asked for."""
    n_ctx: int
    """As llama.cpp made it."""
    name: str
    arch: str
    file_type: str
    """Quantization, for example `Q4_K_M`."""
    n_params: int
    size_mib: float
    n_layer: int
    n_ctx_train: int
    template: str
    """The chat template in use: `file` (the GGUF's own), or the name of the stand-in."""
    devices: tuple[DeviceUse, ...]
    load_s: float


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; llama.cpp's own names and defaults."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    seed: int | None = None
    max_tokens: int | None = None
    """None generates until the model stops or the context is full."""
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One turn: the conversation so far; what was seen before is kept in the KV cache."""

    messages: tuple[ChatMessage, ...]
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class PrefillProgressed:
    """So much of the prompt has been read; `n_cached` tokens of it were in the KV cache."""

    n_done: int
    n_prompt: int
    n_cached: int


@dataclass(frozen=True, slots=True)
class TextGenerated:
    """A piece of the reply: whole characters, one or more tokens."""

    text: str
    n_gen: int
    """Tokens generated so far in this reply."""


class FinishReason(enum.Enum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ReplyStats:
    """What one reply took, measured in the engine. Rates are None where too little was decoded."""

    finish_reason: FinishReason
    n_prompt: int
    n_cached: int
    n_gen: int
    ttft_s: float | None
    """From the request to the first token; None when no token came."""
    pp_tps: float | None
    tg_tps: float | None
    prefill_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The last event of a reply."""

    stats: ReplyStats


ReplyEvent = PrefillProgressed | TextGenerated | ReplyFinished


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine as the window shows it."""

    state: EngineState
    model: LoadedModel | None = None
    problem: str | None = None
    """Set when the engine died or hung: one sentence that says how."""
    log_tail: tuple[str, ...] = ()
    """The last lines it logged, when it died."""
