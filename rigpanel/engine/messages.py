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
    layers: int | None = None
    """Layers it holds, the output layer counted as one; None where the log does not tell."""


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
    """The chat template in use: `file` (the GGUF's own), the name a person chose, or `` for none:
    then a chat is refused until one is chosen."""
    devices: tuple[DeviceUse, ...]
    load_s: float
    notes: tuple[str, ...] = ()
    """Sentences on what a person should know of this load though it went well."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TokenBias:
    """What is added to the logit of each token of `text`; minus infinity forbids them."""

    text: str
    bias: float


DRY_BREAKERS = ("\n", ":", '"', "*")
"""llama.cpp's own default sequence breakers."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; llama.cpp's own names, defaults and order of samplers."""

    temperature: float = 0.8
    """0 always takes the likeliest token."""
    top_k: int = 40
    """0 is off."""
    top_p: float = 0.95
    """1 is off."""
    min_p: float = 0.05
    """0 is off."""
    typical_p: float = 1.0
    """1 is off."""
    repeat_last_n: int = 64
    """Tokens the penalties look back on; -1 is the whole context, 0 is off."""
    repeat_penalty: float = 1.0
    """1 is off."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    """0 is off."""
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = DRY_BREAKERS
    xtc_probability: float = 0.0
    """0 is off."""
    xtc_threshold: float = 0.1
    mirostat: int = 0
    """0 is off; 1 and 2 are its versions, which take the place of top-k, top-p and the like."""
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    """None draws one."""
    max_tokens: int | None = None
    """None generates until the model stops or the context is full."""
    ignore_eos: bool = False
    logit_bias: tuple[TokenBias, ...] = ()
    grammar: str = ""
    """GBNF; empty is off. Not together with `json_schema`. Where the prompt begins the thinking it
    holds from the end of the thoughts on."""
    json_schema: str = ""
    """A JSON schema as text, turned into a grammar; empty is off."""
    stop: tuple[str, ...] = ()
    """A reply ends before the first of these; it is never part of the text."""


class WhenFull(enum.Enum):
    """What happens to a conversation that does not fit the context."""

    STOP = "stop"
    """It is refused, and a reply ends where the context does."""
    DROP_OLDEST = "drop_oldest"
    """The oldest turns are left out of what the model reads, and that is told."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One turn: the conversation so far; what was seen before is kept in the KV cache."""

    messages: tuple[ChatMessage, ...]
    sampling: Sampling = field(default_factory=Sampling)
    when_full: WhenFull = WhenFull.STOP


@dataclass(frozen=True, slots=True)
class TurnsDropped:
    """The oldest messages were left out, so that the rest fits; the first event of a reply."""

    n_messages: int
    """How many of `ChatRequest.messages`, from the oldest on; a system message stays."""


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
    reasoning: bool = False
    """Whether the piece is part of what the model thinks before it answers."""


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
    n_reasoning: int = 0
    """How many of `n_gen` were reasoning."""
    n_drafted: int = 0
    """Tokens guessed by speculation; 0 without it."""
    n_accepted: int = 0
    """How many of the guesses the model took."""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The last event of a reply."""

    stats: ReplyStats


@dataclass(frozen=True, slots=True)
class ContextNearlyFull:
    """Told once in a reply, before the context ends it."""

    n_used: int
    n_ctx: int


ReplyEvent = TurnsDropped | PrefillProgressed | ContextNearlyFull | TextGenerated | ReplyFinished


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine as the window shows it."""

    state: EngineState
    model: LoadedModel | None = None
    problem: str | None = None
    """Set when the engine died or hung: one sentence that says how."""
    log_tail: tuple[str, ...] = ()
    """The last lines it logged, when it died."""
    settings: LoadSettings | None = None
    """What was loaded or being loaded when it died."""
