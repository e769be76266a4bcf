# SPDX-License-Identifier: MIT
"""From load settings to a model and a context in memory."""

import ctypes
import dataclasses
import os
import re
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import llama_cpp
import psutil

from rigpanel.engine.checks import FLASH_ATTN
from rigpanel.engine.llama import devices
from rigpanel.engine.llama.runtime import llama_log
from rigpanel.engine.messages import EngineError, LoadCancelledError
from rigpanel.fit.load_settings import (
    LoadSettings,
    LoraAdapter,
    RopeScaling,
    Speculation,
    SplitMode,
)
from rigpanel.library.ggml_types import KV_TYPES
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.paths import expanded

SPLIT_MODES = {SplitMode.NONE: 0, SplitMode.LAYER: 1, SplitMode.ROW: 2, SplitMode.TENSOR: 3}
ROPE_SCALING = {
    RopeScaling.MODEL: -1,
    RopeScaling.NONE: 0,
    RopeScaling.LINEAR: 1,
    RopeScaling.YARN: 2,
    RopeScaling.LONGROPE: 3,
}
_MEMORY = re.compile(r"memory|allocat|bad_alloc", re.IGNORECASE)
REHEARSE_FROM_MIB = 256
"""Files from this size on are tried without their weights first: it takes less than reading."""
MMAP, MLOCK = 1, 2
"""Bits of enum llama_load_mode."""


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

    array, used = devices.chosen(settings)
    params = model_params(settings, header, array)
    params.progress_callback = progressed
    path = os.fsencode(header.path)
    if header.size_mib >= REHEARSE_FROM_MIB:
        with llama_log.aside():
            _rehearse(path, params, settings, cancelled)
    parts = (*settings.tensor_split, *[0.0] * len(used)) if settings.tensor_split else repeat(1.0)
    split = dict(zip([device.name for device in used], parts, strict=False))
    llama_log.names_devices(devices.buffer_names(devices.listed()), split)
    model = llama_cpp.llama_model_load_from_file(path, params)
    if model is None:
        if cancelled():
            raise LoadCancelledError("The load was cancelled.")
        raise EngineError(
            f"llama.cpp could not load {header.path.name}: "
            + _because("See whether the file is whole, or fetch it again.")
        )
    if not llama_cpp.llama_model_has_decoder(model):
        llama_cpp.llama_model_free(model)
        raise EngineError(f"{header.path.name} makes embeddings; it cannot write a reply.")
    return model


def model_params(settings: LoadSettings, header: GgufHeader, array: Any) -> Any:
    """Return what llama.cpp is told of a model's load; `array` must be kept until it is done."""
    params = llama_cpp.llama_model_default_params()
    params.devices = ctypes.cast(array, ctypes.c_void_p)
    all_layers = header.n_layer + 1 if header.n_layer else 999
    params.n_gpu_layers = all_layers if settings.n_gpu_layers < 0 else settings.n_gpu_layers
    params.split_mode = SPLIT_MODES[settings.split_mode]
    params.main_gpu = settings.main_gpu
    params.load_mode = MMAP * settings.use_mmap + MLOCK * settings.use_mlock
    if settings.tensor_split:
        shares = (ctypes.c_float * llama_cpp.llama_max_devices())(*settings.tensor_split)
        params.tensor_split = shares
    return params


def _rehearse(
    path: bytes, params: Any, settings: LoadSettings, cancelled: Callable[[], bool]
) -> None:
    """Make model and context without the weights: what is refused is told before they are read.

    A model that is refused as such is left to the real load, which says why just as soon.
    """

    @llama_cpp.llama_progress_callback  # type: ignore[untyped-decorator]
    def go_on(_fraction: float, _data: ctypes.c_void_p) -> bool:
        return not cancelled()

    bare = type(params).from_buffer_copy(params)
    bare.no_alloc, bare.load_mode, bare.progress_callback = True, 0, go_on
    model = llama_cpp.llama_model_load_from_file(path, bare)
    if model is None:
        return
    try:
        llama_cpp.llama_free(make_context(model, dataclasses.replace(settings, lora=())))
    finally:
        llama_cpp.llama_model_free(model)


def _because(advice: str) -> str:
    """Return llama.cpp's reason and what to do about it: `advice`, unless memory ran out."""
    reason = llama_log.last_error() or "it gives no reason"
    if _MEMORY.search(reason):
        advice = "Fewer GPU layers, a smaller context or a smaller n_ubatch need less memory."
    return f"{reason.rstrip('.')}. {advice}"


def make_context(model: Any, settings: LoadSettings) -> Any:
    """Return a context for one conversation, with room for a chat's logits only."""
    threads = settings.threads or psutil.cpu_count(logical=False) or 1
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = settings.n_ctx
    params.n_batch = settings.n_batch
    params.n_ubatch = min(settings.n_ubatch, settings.n_batch)
    speculates = settings.speculation is not Speculation.NONE
    params.n_outputs_max = settings.n_draft + 1 if speculates else 1
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = FLASH_ATTN[settings.flash_attn]
    params.type_k, params.type_v = KV_TYPES[settings.type_k], KV_TYPES[settings.type_v]
    params.rope_scaling_type = ROPE_SCALING[settings.rope_scaling]
    params.rope_freq_base = settings.rope_freq_base
    params.rope_freq_scale = settings.rope_freq_scale
    params.swa_full = False
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    if context is None:
        raise EngineError(
            f"llama.cpp could not make a context of {settings.n_ctx} tokens: "
            + _because("Change that setting.")
        )
    try:
        _apply_lora(model, context, settings.lora)
    except EngineError:
        llama_cpp.llama_free(context)
        raise
    return context


def _apply_lora(model: Any, context: Any, adapters: tuple[LoraAdapter, ...]) -> None:
    """Put the adapters on the context; they are freed with the model."""
    if not adapters:
        return
    loaded = [_load_lora(model, adapter.path) for adapter in adapters]
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(loaded))(*loaded)
    scales = (ctypes.c_float * len(loaded))(*[adapter.scale for adapter in adapters])
    if llama_cpp.llama_set_adapters_lora(context, pointers, len(loaded), scales) != 0:
        raise EngineError(
            "llama.cpp does not apply the LoRA adapters: " + _because("Load without them.")
        )


def _load_lora(model: Any, path: Path) -> Any:
    adapter = llama_cpp.llama_adapter_lora_init(model, os.fsencode(expanded(path)))
    if not adapter:
        raise EngineError(
            f"The LoRA adapter {path.name} cannot be used: "
            + _because("Choose one made for this model.")
        )
    return adapter
