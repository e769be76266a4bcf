# SPDX-License-Identifier: MIT
"""From load settings to a model and a context in memory."""

import ctypes
from collections.abc import Callable
from typing import Any

import llama_cpp
import psutil

from rigpanel.engine.checks import FLASH_ATTN, KV_TYPES
from rigpanel.engine.llama.runtime import llama_log
from rigpanel.engine.messages import EngineError, LoadCancelledError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.gguf_header import GgufHeader

SPLIT_MODES = {SplitMode.NONE: 0, SplitMode.LAYER: 1, SplitMode.ROW: 2, SplitMode.TENSOR: 3}


def load_model(
    settings: LoadSettings,
    header: GgufHeader,
    on_progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> Any:
    """Load the weights and return llama.cpp's model; raises EngineError, LoadCancelledError."""

    @llama_cpp.llama_progress_callback  # type: ignore[untyped-decorator]
    def progressed(fraction: float, _data: ctypes.c_void_p) -> bool:
        on_progress(fraction)
        return not cancelled()

    params = llama_cpp.llama_model_default_params()
    all_layers = header.n_layer + 1 if header.n_layer else 999
    params.n_gpu_layers = all_layers if settings.n_gpu_layers < 0 else settings.n_gpu_layers
    params.split_mode = SPLIT_MODES[settings.split_mode]
    params.main_gpu = settings.main_gpu
    params.load_mode = int(settings.use_mmap) + 2 * int(settings.use_mlock)
    params.progress_callback = progressed
    shares = (ctypes.c_float * llama_cpp.llama_max_devices())()
    if settings.tensor_split:
        for index, share in enumerate(settings.tensor_split):
            shares[index] = share
        params.tensor_split = shares
    path = str(header.path).encode()
    model = llama_cpp.llama_model_load_from_file(path, params)
    if model is None:
        if cancelled():
            raise LoadCancelledError("The load was cancelled.")
        raise EngineError(
            f"llama.cpp could not load {header.path.name}: "
            f"{llama_log.last_error() or 'it gives no reason'}. See whether the file is whole and "
            "whether it fits: fewer GPU layers or a smaller context need less memory."
        )
    if not llama_cpp.llama_model_has_decoder(model):
        llama_cpp.llama_model_free(model)
        raise EngineError(f"{header.path.name} makes embeddings; it cannot write a reply.")
    return model


def make_context(model: Any, settings: LoadSettings) -> Any:
    """Return a context for one conversation, with room for a chat's logits only."""
    threads = settings.threads or psutil.cpu_count(logical=False) or 1
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = settings.n_ctx
    params.n_batch = settings.n_batch
    params.n_ubatch = min(settings.n_ubatch, settings.n_batch)
    params.n_outputs_max = 1
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = FLASH_ATTN[settings.flash_attn]
    params.type_k, params.type_v = KV_TYPES[settings.type_k], KV_TYPES[settings.type_v]
    params.swa_full = False
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    if context is None:
        raise EngineError(
            f"llama.cpp could not make a context of {settings.n_ctx} tokens: "
            f"{llama_log.last_error() or 'it gives no reason'}. "
            "A smaller context needs less memory."
        )
    return context
