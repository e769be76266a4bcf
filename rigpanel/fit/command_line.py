# SPDX-License-Identifier: MIT
"""The same load as a line for llama.cpp's own programs."""

import shlex

from rigpanel.fit.load_settings import PROCESSOR, LoadSettings, RopeScaling, Speculation, SplitMode

ALL_LAYERS = 99
"""What people write for all of them."""
DEFAULT_BATCH, DEFAULT_UBATCH = 2048, 512
"""Those of llama.cpp's programs."""
ROPE_SCALINGS = {RopeScaling.NONE, RopeScaling.LINEAR, RopeScaling.YARN}
"""Those that its programs can be told."""


def server_line(settings: LoadSettings, n_layer: int) -> str:
    """Return the `llama-server` line that loads the model the same way."""
    return shlex.join(["llama-server", *_options(settings, n_layer)])


def cli_line(settings: LoadSettings, n_layer: int) -> str:
    """Return the `llama-cli` line that loads the model the same way."""
    return shlex.join(["llama-cli", *_options(settings, n_layer)])


def _options(settings: LoadSettings, n_layer: int) -> list[str]:
    everything = settings.n_gpu_layers > n_layer or settings.n_gpu_layers < 0
    layers = max(ALL_LAYERS, n_layer + 1) if everything else settings.n_gpu_layers
    words = ["-m", str(settings.model), "-ngl", str(layers)]
    if settings.n_gpu_layers:
        words += ["--split-mode", settings.split_mode.value]
    if settings.split_mode is SplitMode.NONE and settings.n_gpu_layers:
        words += ["--main-gpu", str(settings.main_gpu)]
    elif len(settings.tensor_split) > 1:
        words += ["--tensor-split", ",".join(f"{share:g}" for share in settings.tensor_split)]
    words += ["-c", str(settings.n_ctx)]
    n_ubatch = min(settings.n_batch, settings.n_ubatch)
    if n_ubatch > DEFAULT_BATCH:
        words += ["-b", str(n_ubatch)]
    if n_ubatch != DEFAULT_UBATCH:
        words += ["-ub", str(n_ubatch)]
    return words + _others(settings)


def _others(settings: LoadSettings) -> list[str]:
    """Return what differs from the choice that llama.cpp's programs make themselves."""
    rope, drafts = settings.rope_scaling, settings.speculation is Speculation.DRAFT_MODEL
    cards = [name for name in settings.devices if name != PROCESSOR]
    pairs = {
        "-fa": settings.flash_attn if settings.flash_attn != "on" else "",
        "-ctk": settings.type_k if settings.type_k != "f16" else "",
        "-ctv": settings.type_v if settings.type_v != "f16" else "",
        "-t": str(settings.threads or ""),
        # Servers first: a device must be known where it is named.
        "--rpc": ",".join(settings.rpc_servers),
        "--device": (",".join(cards) or "none") if settings.devices else "",
        "--rope-scaling": rope.value if rope in ROPE_SCALINGS else "",
        "--rope-freq-base": str(settings.rope_freq_base or ""),
        "--rope-freq-scale": str(settings.rope_freq_scale or ""),
        "--lora": ",".join(str(lora.path) for lora in settings.lora if lora.scale == 1),
        "--lora-scaled": ",".join(
            f"{lora.path}:{lora.scale:g}" for lora in settings.lora if lora.scale != 1
        ),
        "-md": str(settings.model_draft or "") if drafts else "",
        "--chat-template": settings.chat_template,
    }
    return [word for option, value in pairs.items() if value for word in (option, value)]
