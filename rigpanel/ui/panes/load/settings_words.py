# SPDX-License-Identifier: MIT
"""The settings of a load in a line or two: for what was tried and for what is loaded."""

from rigpanel.fit.load_settings import LoadSettings, RopeScaling, Speculation, SplitMode
from rigpanel.ui import words


def settings_words(settings: LoadSettings) -> str:
    """Return file, layers, context and caches, then whatever else is not left to llama.cpp."""
    layers = settings.n_gpu_layers
    parts = [
        settings.model.name,
        "all layers on the cards" if layers < 0 else f"{layers} layers on the cards",
        f"context {words.tokens(settings.n_ctx)}",
        f"KV cache {settings.type_k}"
        + (f" and {settings.type_v}" if settings.type_v != settings.type_k else ""),
        f"batch {settings.n_batch} / {settings.n_ubatch}",
    ]
    parts += _placed(settings)
    parts += _odd(settings)
    parts += _added(settings)
    return " · ".join(parts)


def _placed(settings: LoadSettings) -> list[str]:
    parts = []
    if settings.split_mode is not SplitMode.LAYER:
        parts.append(f"split mode {settings.split_mode.value}")
    if settings.tensor_split:
        parts.append("tensor split " + " : ".join(f"{share:g}" for share in settings.tensor_split))
    if settings.main_gpu:
        parts.append(f"main GPU {settings.main_gpu}")
    if settings.devices:
        parts.append("devices " + ", ".join(settings.devices))
    if settings.rpc_servers:
        parts.append("RPC servers " + ", ".join(settings.rpc_servers))
    return parts


def _odd(settings: LoadSettings) -> list[str]:
    parts = []
    if settings.flash_attn != "auto":
        parts.append(f"flash attention {settings.flash_attn}")
    if settings.threads is not None:
        parts.append(f"{settings.threads} threads")
    if not settings.use_mmap:
        parts.append("file not mapped")
    if settings.use_mlock:
        parts.append("kept in memory")
    if settings.rope_scaling is not RopeScaling.MODEL:
        parts.append(f"RoPE scaling {settings.rope_scaling.value}")
    if settings.rope_freq_base:
        parts.append(f"RoPE base {settings.rope_freq_base:g}")
    if settings.rope_freq_scale:
        parts.append(f"RoPE scale {settings.rope_freq_scale:g}")
    if settings.chat_template:
        parts.append(f"chat template {settings.chat_template}")
    return parts


def _added(settings: LoadSettings) -> list[str]:
    parts = [f"LoRA {one.path.name} at {one.scale:g}" for one in settings.lora]
    if settings.speculation is Speculation.DRAFT_MODEL and settings.model_draft is not None:
        parts.append(f"draft model {settings.model_draft.name}")
    if settings.speculation is Speculation.PROMPT_LOOKUP:
        parts.append("prompt lookup")
    return parts
