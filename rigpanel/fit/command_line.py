# SPDX-License-Identifier: MIT
"""The same load as a line for llama.cpp's own programs."""

import shlex

from rigpanel.fit.load_settings import LoadSettings, SplitMode

ALL_LAYERS = 99
"""What people write for all of them."""
DEFAULT_UBATCH = 512


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
    if settings.n_ubatch != DEFAULT_UBATCH:
        words += ["-ub", str(settings.n_ubatch)]
    if settings.flash_attn != "on":
        words += ["-fa", settings.flash_attn]
    if settings.type_k != "f16":
        words += ["-ctk", settings.type_k]
    if settings.type_v != "f16":
        words += ["-ctv", settings.type_v]
    if settings.devices:
        words += [
            "--device",
            ",".join(name for name in settings.devices if name != "CPU") or "none",
        ]
    if settings.rpc_servers:
        words += ["--rpc", ",".join(settings.rpc_servers)]
    return words
