# SPDX-License-Identifier: MIT
"""How a model is loaded, in llama.cpp's words: one value from the load pane to the stored chat."""

import enum
from dataclasses import dataclass
from pathlib import Path


class SplitMode(enum.Enum):
    """How the layers are spread over several devices (`llama_split_mode`)."""

    NONE = "none"
    LAYER = "layer"
    ROW = "row"
    TENSOR = "tensor"


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
