# SPDX-License-Identifier: MIT
"""Settings llama.cpp would refuse later, or would end the process over, refused before a load."""

import math
from collections.abc import Iterator

from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.messages import EngineError
from rigpanel.engine.rpc_peer import check_server
from rigpanel.fit.load_settings import LoadSettings, RopeScaling, Speculation, SplitMode
from rigpanel.library.ggml_types import KV_TYPES
from rigpanel.library.gguf_header import GgufHeader, read_header

PLAIN_TYPES = {"f32", "f16", "bf16"}
"""Those a V cache may have without flash attention."""
FLASH_ATTN = {"auto": -1, "off": 0, "on": 1}
"""Enum llama_flash_attn_type."""
SMALLEST_CTX, LARGEST_CTX = 16, 16_777_216
MOST_THREADS = 1024
MOST_SERVERS = 16
"""GGML_RPC_MAX_SERVERS of ggml-rpc.h."""
VOCAB_SLACK = 128
"""How many tokens a draft model's vocabulary may differ by (llama.cpp's own limit)."""


Refusal = tuple[bool, str]
"""Whether it is so, and the sentence then."""


def check(settings: LoadSettings, header: GgufHeader, max_devices: int) -> None:
    """Raise EngineError with what to change when these settings cannot be loaded.

    Other files they name (LoRA adapters, draft model) are looked at too: ModelFileError.
    """
    name = header.path.name
    part = settings.model.name
    _refuse(
        (header.arch == "clip", f"{name} is a projector (mmproj), not a language model."),
        (
            part in {shard.name for shard in header.shards[1:]},
            f"{part} is a part of a model; choose its first, {name}.",
        ),
    )
    _refuse(*_cache(settings))
    _refuse(*_sizes(settings))
    _refuse(*_split(settings, max_devices))
    _refuse(*_rope(settings))
    for server in settings.rpc_servers:
        check_server(server)
    _refuse(*_adapters(settings, header))
    _refuse(*_draft(settings, header))


def _refuse(*refusals: Refusal) -> None:
    for is_so, sentence in refusals:
        if is_so:
            raise EngineError(sentence)


def _cache(settings: LoadSettings) -> Iterator[Refusal]:
    for name, value in (("type_k", settings.type_k), ("type_v", settings.type_v)):
        yield value not in KV_TYPES, f"{name} {value!r}: must be one of {', '.join(KV_TYPES)}."
    flash = settings.flash_attn
    yield flash not in FLASH_ATTN, f"flash_attn {flash!r}: must be on, off or auto."
    yield (
        flash == "off" and settings.type_v not in PLAIN_TYPES,
        f"A {settings.type_v} V cache needs flash attention; turn it on, or take f16 for V.",
    )


def _sizes(settings: LoadSettings) -> Iterator[Refusal]:
    yield (
        not SMALLEST_CTX <= settings.n_ctx <= LARGEST_CTX,
        f"A context of {settings.n_ctx} tokens: must be from {SMALLEST_CTX} to {LARGEST_CTX}.",
    )
    for name, value in (("n_ubatch", settings.n_ubatch), ("n_batch", settings.n_batch)):
        yield not 1 <= value <= LARGEST_CTX, f"{name} {value}: must be from 1 to {LARGEST_CTX}."
    yield (
        settings.threads is not None and not 1 <= settings.threads <= MOST_THREADS,
        f"{settings.threads} threads: must be from 1 to {MOST_THREADS}.",
    )
    yield (
        not -1 <= settings.n_gpu_layers < 2**31,
        f"n_gpu_layers {settings.n_gpu_layers}: must be from 0, or -1 for all of them.",
    )


def _split(settings: LoadSettings, max_devices: int) -> Iterator[Refusal]:
    shares = settings.tensor_split
    yield (
        settings.split_mode is SplitMode.TENSOR and settings.flash_attn == "off",
        "Split mode tensor needs flash attention; turn it on.",
    )
    yield (
        any(not math.isfinite(share) or share < 0 for share in shares)
        or (bool(shares) and sum(shares) <= 0),
        "tensor_split: shares must not be negative, and one must be above 0.",
    )
    yield (
        len(shares) > max_devices,
        f"tensor_split names {len(shares)} devices; llama.cpp takes at most {max_devices}.",
    )
    yield (
        not 0 <= settings.main_gpu < max_devices,
        f"main_gpu {settings.main_gpu}: must be from 0 to {max_devices - 1}.",
    )
    yield (
        len(settings.rpc_servers) > MOST_SERVERS,
        f"{len(settings.rpc_servers)} RPC servers; llama.cpp takes at most {MOST_SERVERS}.",
    )


def _rope(settings: LoadSettings) -> Iterator[Refusal]:
    for name, value in (
        ("rope_freq_base", settings.rope_freq_base),
        ("rope_freq_scale", settings.rope_freq_scale),
    ):
        yield (
            not math.isfinite(value) or value < 0,
            f"{name} {value}: must be above 0, or 0 to take it from the file.",
        )
    yield (
        settings.rope_scaling is RopeScaling.NONE and settings.rope_freq_scale not in {0.0, 1.0},
        "rope_freq_scale changes nothing with RoPE scaling `none`; choose linear or yarn.",
    )


def _adapters(settings: LoadSettings, header: GgufHeader) -> Iterator[Refusal]:
    for adapter in settings.lora:
        yield not math.isfinite(adapter.scale), f"LoRA scale {adapter.scale}: must be a number."
        arch = read_header(adapter.path).arch
        yield (
            arch != header.arch,
            (
                f"The LoRA adapter {adapter.path.name} is for {arch} models, and this is a "
                f"{header.arch} model. Choose an adapter made for it."
            ),
        )


def _draft(settings: LoadSettings, header: GgufHeader) -> Iterator[Refusal]:
    if settings.speculation is Speculation.NONE:
        return
    yield (
        not 1 <= settings.n_draft < settings.n_batch,
        f"n_draft {settings.n_draft}: must be from 1, and below n_batch ({settings.n_batch}).",
    )
    if settings.speculation is not Speculation.DRAFT_MODEL:
        return
    yield settings.model_draft is None, "A draft model is to guess, but none is named. Choose one."
    if settings.model_draft is not None:
        draft = read_header(settings.model_draft)
        yield (
            abs(draft.n_vocab - header.n_vocab) > VOCAB_SLACK,
            (
                f"The draft model {draft.path.name} cannot guess for this one: it has "
                f"{draft.n_vocab} tokens in place of {header.n_vocab}. Choose one of its family."
            ),
        )


def check_devices(
    settings: LoadSettings, names: tuple[str, ...], known: tuple[Device, ...]
) -> None:
    """Raise EngineError when these devices cannot be used so; `known` is what llama.cpp lists."""
    listed = ", ".join(device.name for device in known)
    by_name = {device.name: device for device in known}
    unknown = [name for name in names if name not in by_name]
    _refuse(
        (bool(unknown), f"There is no device {', '.join(unknown)}; there are: {listed}."),
        (len(set(names)) < len(names), f"A device stands twice in {', '.join(names)}."),
    )
    used = [by_name[name] for name in names if by_name[name].kind is not DeviceKind.CPU]
    lent = [device for device in used if device.kind is DeviceKind.RPC]
    helpers = [device.name for device in used if device.kind is DeviceKind.ACCEL]
    mode, shares = settings.split_mode, len(settings.tensor_split)
    _refuse(
        (bool(helpers), f"{', '.join(helpers)} helps the processor and holds no layers."),
        (
            mode is SplitMode.ROW and bool(lent),
            (
                f"Split mode row does not work over RPC ({', '.join(d.name for d in lent)}); "
                "take layer or tensor."
            ),
        ),
        (
            mode is SplitMode.TENSOR and not used,
            "Split mode tensor needs a card or an RPC server; there is none here. Take layer.",
        ),
        (
            bool(used) and shares > len(used),
            (
                f"tensor_split has {shares} shares for {len(used)} devices "
                f"({', '.join(device.name for device in used)})."
            ),
        ),
        (
            mode is SplitMode.NONE and bool(used) and settings.main_gpu >= len(used),
            (
                f"main_gpu {settings.main_gpu}: must be from 0 to {len(used) - 1}, one of "
                f"{', '.join(device.name for device in used)}."
            ),
        ),
    )
