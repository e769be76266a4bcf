# SPDX-License-Identifier: MIT
"""Settings llama.cpp would refuse later, or would end the process over, refused before a load."""

from rigpanel.engine.messages import EngineError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.gguf_header import GgufHeader

KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2}
"""KV cache types by llama.cpp's names (enum ggml_type)."""
FLASH_ATTN = {"auto": -1, "off": 0, "on": 1}
"""Enum llama_flash_attn_type."""
SMALLEST_CTX, LARGEST_CTX = 16, 16_777_216
MOST_THREADS = 1024


def check(settings: LoadSettings, header: GgufHeader, max_devices: int) -> None:
    """Raise EngineError with what to change when these settings cannot be loaded."""
    if header.arch == "clip":
        raise EngineError(f"{header.path.name} is a projector (mmproj), not a language model.")
    _check_cache(settings)
    _check_sizes(settings)
    _check_split(settings, max_devices)


def _check_cache(settings: LoadSettings) -> None:
    for name, value in (("type_k", settings.type_k), ("type_v", settings.type_v)):
        if value not in KV_TYPES:
            raise EngineError(f"{name} {value!r}: must be one of {', '.join(KV_TYPES)}.")
    if settings.flash_attn not in FLASH_ATTN:
        raise EngineError(f"flash_attn {settings.flash_attn!r}: must be on, off or auto.")
    if settings.flash_attn == "off" and settings.type_v not in {"f32", "f16", "bf16"}:
        raise EngineError(
            f"A {settings.type_v} V cache needs flash attention; turn it on, or take f16 for V."
        )


def _check_sizes(settings: LoadSettings) -> None:
    if not SMALLEST_CTX <= settings.n_ctx <= LARGEST_CTX:
        raise EngineError(
            f"A context of {settings.n_ctx} tokens: must be from {SMALLEST_CTX} to {LARGEST_CTX}."
        )
    if not (1 <= settings.n_batch <= LARGEST_CTX and 1 <= settings.n_ubatch <= LARGEST_CTX):
        raise EngineError(f"n_batch and n_ubatch must be from 1 to {LARGEST_CTX}.")
    if settings.threads is not None and not 1 <= settings.threads <= MOST_THREADS:
        raise EngineError(f"{settings.threads} threads: must be from 1 to {MOST_THREADS}.")


def _check_split(settings: LoadSettings, max_devices: int) -> None:
    shares = settings.tensor_split
    if settings.split_mode is SplitMode.TENSOR and settings.flash_attn == "off":
        raise EngineError("Split mode tensor needs flash attention; turn it on.")
    if any(share < 0 for share in shares) or (shares and sum(shares) <= 0):
        raise EngineError("tensor_split: shares must not be negative, and one must be above 0.")
    if len(shares) > max_devices:
        raise EngineError(
            f"tensor_split names {len(shares)} devices; llama.cpp takes at most {max_devices}."
        )
    if not 0 <= settings.main_gpu < max_devices:
        raise EngineError(f"main_gpu {settings.main_gpu}: must be from 0 to {max_devices - 1}.")
