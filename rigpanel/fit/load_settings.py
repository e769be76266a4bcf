# SPDX-License-Identifier: MIT
"""How a model is loaded, in llama.cpp's words: one value from the load pane to the stored chat."""

import enum
from dataclasses import dataclass
from pathlib import Path

PROCESSOR = "CPU"
"""llama.cpp's name of the processor among its devices."""


class SplitMode(enum.Enum):
    """How the layers are spread over several devices (`llama_split_mode`)."""

    NONE = "none"
    LAYER = "layer"
    ROW = "row"
    TENSOR = "tensor"


class RopeScaling(enum.Enum):
    """How positions past the trained context are scaled (`llama_rope_scaling_type`)."""

    MODEL = "model"
    """As the file says."""
    NONE = "none"
    LINEAR = "linear"
    YARN = "yarn"
    LONGROPE = "longrope"


class Speculation(enum.Enum):
    """Where guesses of the next tokens come from; the model checks several in one decode."""

    NONE = "none"
    DRAFT_MODEL = "draft_model"
    PROMPT_LOOKUP = "prompt_lookup"


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    """A LoRA adapter in a GGUF file, and how strongly it is applied (1 is as trained)."""

    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that decides how one model is loaded; names are llama.cpp's own."""

    model: Path
    n_ctx: int = 4096
    n_gpu_layers: int = -1
    """Layers put on the cards; -1 is all of them, the output layer with them."""
    split_mode: SplitMode = SplitMode.LAYER
    tensor_split: tuple[float, ...] = ()
    """Share of each device; empty leaves it to llama.cpp (by free memory)."""
    main_gpu: int = 0
    n_batch: int = 512
    n_ubatch: int = 512
    threads: int | None = None
    """CPU threads for decode and prefill; None takes the number of physical cores."""
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attn: str = "auto"
    """`on`, `off` or `auto`."""
    use_mmap: bool = True
    use_mlock: bool = False
    devices: tuple[str, ...] = ()
    """llama.cpp's names of the devices to use (`CUDA0`, `RPC0`), in order; empty uses them all, and
    the processor's alone (`CPU`) none of the cards."""
    rpc_servers: tuple[str, ...] = ()
    """`host:port` of llama.cpp RPC servers whose devices stand beside this machine's own."""
    rope_scaling: RopeScaling = RopeScaling.MODEL
    rope_freq_base: float = 0.0
    """0 is as the file says."""
    rope_freq_scale: float = 0.0
    """0 is as the file says; 0.5 doubles the context that linear scaling reaches."""
    lora: tuple[LoraAdapter, ...] = ()
    speculation: Speculation = Speculation.NONE
    model_draft: Path | None = None
    """The small model that guesses, of the same vocabulary; only for `DRAFT_MODEL`."""
    n_draft: int = 8
    """Tokens guessed at most before the model checks them."""
    chat_template: str = ""
    """Empty is the file's own; else one of llama.cpp's templates by name, chosen by a person."""
