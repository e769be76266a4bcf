# SPDX-License-Identifier: MIT
"""Models of many architectures with random weights, small enough to load for real."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from rigpanel.library import demo_model

Shapes = Iterator[tuple[str, tuple[int, ...]]]
"""Names of tensors and their shapes, the row length first."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that the made-up models share."""

    n_embd: int = 512
    n_layer: int = 6
    n_head: int = 8
    n_head_kv: int = 2
    head: int = 64
    n_ff: int = 1536
    n_vocab: int = 4096
    n_ctx_train: int = 32768
    n_expert: int = 8
    n_used: int = 2
    n_ff_exp: int = 384


@dataclass(frozen=True, slots=True)
class Made:
    """How one architecture is written."""

    arch: str
    values: Callable[[Sizes], dict[str, Any]]
    layer: Callable[[Sizes, int], Shapes]
    tied: bool = False
    biased: bool = False
    """LayerNorm with a bias in place of RMSNorm."""
    positions: bool = False


def _attention(s: Sizes) -> Shapes:
    yield "attn_norm.weight", (s.n_embd,)
    yield "attn_q.weight", (s.n_embd, s.n_head * s.head)
    yield "attn_k.weight", (s.n_embd, s.n_head_kv * s.head)
    yield "attn_v.weight", (s.n_embd, s.n_head_kv * s.head)
    yield "attn_output.weight", (s.n_head * s.head, s.n_embd)


def _ffn(s: Sizes) -> Shapes:
    yield "ffn_norm.weight", (s.n_embd,)
    yield "ffn_gate.weight", (s.n_embd, s.n_ff)
    yield "ffn_up.weight", (s.n_embd, s.n_ff)
    yield "ffn_down.weight", (s.n_ff, s.n_embd)


def _experts(s: Sizes, width: int = 0) -> Shapes:
    width = width or s.n_ff_exp
    yield "ffn_norm.weight", (s.n_embd,)
    yield "ffn_gate_inp.weight", (s.n_embd, s.n_expert)
    yield "ffn_gate_exps.weight", (s.n_embd, width, s.n_expert)
    yield "ffn_up_exps.weight", (s.n_embd, width, s.n_expert)
    yield "ffn_down_exps.weight", (width, s.n_embd, s.n_expert)


def _norms(s: Sizes, *names: str, size: int = 0) -> Shapes:
    for name in names:
        yield f"{name}.weight", (size or s.n_embd,)


def _llama(s: Sizes, _: int) -> Shapes:
    yield from _attention(s)
    yield from _ffn(s)


def _qwen2(s: Sizes, _: int) -> Shapes:
    yield from _llama(s, _)
    yield "attn_q.bias", (s.n_head * s.head,)
    yield "attn_k.bias", (s.n_head_kv * s.head,)
    yield "attn_v.bias", (s.n_head_kv * s.head,)


def _qwen3(s: Sizes, _: int) -> Shapes:
    yield from _llama(s, _)
    yield from _norms(s, "attn_q_norm", "attn_k_norm", size=s.head)


def _mixtral(s: Sizes, _: int) -> Shapes:
    yield from _attention(s)
    yield from _experts(s, s.n_ff)


def _qwen3moe(s: Sizes, _: int) -> Shapes:
    yield from _attention(s)
    yield from _experts(s)
    yield from _norms(s, "attn_q_norm", "attn_k_norm", size=s.head)


def _gemma2(s: Sizes, _: int) -> Shapes:
    yield from _llama(s, _)
    yield from _norms(s, "post_attention_norm", "post_ffw_norm")


def _gemma3(s: Sizes, _: int) -> Shapes:
    yield from _gemma2(s, _)
    yield from _norms(s, "attn_q_norm", "attn_k_norm", size=s.head)


def _cohere2(s: Sizes, _: int) -> Shapes:
    yield from _attention(s)
    yield from (item for item in _ffn(s) if item[0] != "ffn_norm.weight")


def _phi3(s: Sizes, _: int) -> Shapes:
    yield "attn_norm.weight", (s.n_embd,)
    yield "attn_qkv.weight", (s.n_embd, (s.n_head + 2 * s.n_head_kv) * s.head)
    yield "attn_output.weight", (s.n_head * s.head, s.n_embd)
    yield "ffn_norm.weight", (s.n_embd,)
    yield "ffn_up.weight", (s.n_embd, 2 * s.n_ff)
    yield "ffn_down.weight", (s.n_ff, s.n_embd)


def _gpt2(s: Sizes, _: int) -> Shapes:
    shapes = (
        ("attn_norm", (s.n_embd,)),
        ("attn_qkv", (s.n_embd, (s.n_head + 2 * s.n_head_kv) * s.head)),
        ("attn_output", (s.n_head * s.head, s.n_embd)),
        ("ffn_norm", (s.n_embd,)),
        ("ffn_up", (s.n_embd, s.n_ff)),
        ("ffn_down", (s.n_ff, s.n_embd)),
    )
    for name, shape in shapes:
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[-1:]


KV_RANK, ROPE, NOPE, V_HEAD = 128, 32, 64, 64


def _deepseek2(s: Sizes, layer: int) -> Shapes:
    yield "attn_norm.weight", (s.n_embd,)
    yield "attn_q_a.weight", (s.n_embd, 192)
    yield "attn_q_a_norm.weight", (192,)
    yield "attn_q_b.weight", (192, s.n_head * (NOPE + ROPE))
    yield "attn_kv_a_mqa.weight", (s.n_embd, KV_RANK + ROPE)
    yield "attn_kv_a_norm.weight", (KV_RANK,)
    yield "attn_k_b.weight", (NOPE, KV_RANK, s.n_head)
    yield "attn_v_b.weight", (KV_RANK, V_HEAD, s.n_head)
    yield "attn_output.weight", (s.n_head * V_HEAD, s.n_embd)
    if layer == 0:
        yield from _ffn(s)
        return
    yield from _experts(s)
    yield "ffn_gate_shexp.weight", (s.n_embd, s.n_ff_exp)
    yield "ffn_up_shexp.weight", (s.n_embd, s.n_ff_exp)
    yield "ffn_down_shexp.weight", (s.n_ff_exp, s.n_embd)


STATE, CONV, DT_RANK = 16, 4, 32


def _mamba(s: Sizes, _: int) -> Shapes:
    inner = 2 * s.n_embd
    yield "attn_norm.weight", (s.n_embd,)
    yield "ssm_in.weight", (s.n_embd, 2 * inner)
    yield "ssm_conv1d.weight", (CONV, inner)
    yield "ssm_conv1d.bias", (inner,)
    yield "ssm_x.weight", (inner, DT_RANK + 2 * STATE)
    yield "ssm_dt.weight", (DT_RANK, inner)
    yield "ssm_dt.bias", (inner,)
    yield "ssm_a", (STATE, inner)
    yield "ssm_d", (inner,)
    yield "ssm_out.weight", (inner, s.n_embd)


HYBRID_STATE, HYBRID_HEADS = 64, 16


def _granite_hybrid(s: Sizes, layer: int) -> Shapes:
    if layer % 3 == 2:
        yield from _llama(s, layer)
        return
    inner, groups = 2 * s.n_embd, 1
    conv = inner + 2 * groups * HYBRID_STATE
    yield "attn_norm.weight", (s.n_embd,)
    yield "ssm_in.weight", (s.n_embd, inner + conv + HYBRID_HEADS)
    yield "ssm_conv1d.weight", (CONV, conv)
    yield "ssm_conv1d.bias", (conv,)
    yield "ssm_dt.bias", (HYBRID_HEADS,)
    yield "ssm_a", (1, HYBRID_HEADS)
    yield "ssm_d", (1, HYBRID_HEADS)
    yield "ssm_norm.weight", (inner // groups, groups)
    yield "ssm_out.weight", (inner, s.n_embd)
    yield from _ffn(s)


def _gpt_oss(s: Sizes, _: int) -> Shapes:
    for name, shape in (*_attention(s), *_experts(s)):
        if name == "ffn_norm.weight":
            yield "post_attention_norm.weight", shape
            continue
        yield name, shape
        if not name.endswith("norm.weight"):
            yield name.replace(".weight", ".bias"), shape[1:]
    yield "attn_sinks.weight", (s.n_head,)


def _plain(s: Sizes) -> dict[str, Any]:
    return {
        "attention.head_count": s.n_head,
        "attention.head_count_kv": s.n_head_kv,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        "rope.dimension_count": s.head,
        "feed_forward_length": s.n_ff,
    }


def _heads(s: Sizes) -> dict[str, Any]:
    return {**_plain(s), "attention.key_length": s.head, "attention.value_length": s.head}


def _moe(s: Sizes) -> dict[str, Any]:
    return {
        **_heads(s),
        "expert_count": s.n_expert,
        "expert_used_count": s.n_used,
        "expert_feed_forward_length": s.n_ff_exp,
    }


def _mla(s: Sizes) -> dict[str, Any]:
    return {
        **_moe(s),
        "attention.head_count_kv": 1,
        "attention.key_length": KV_RANK + ROPE,
        "attention.value_length": KV_RANK,
        "attention.key_length_mla": NOPE + ROPE,
        "attention.value_length_mla": V_HEAD,
        "attention.kv_lora_rank": KV_RANK,
        "attention.q_lora_rank": 192,
        "rope.dimension_count": ROPE,
        "leading_dense_block_count": 1,
        "expert_shared_count": 1,
        "expert_weights_scale": 1.0,
    }


def _ssm(s: Sizes) -> dict[str, Any]:
    return {
        "attention.layer_norm_rms_epsilon": 1e-5,
        "ssm.conv_kernel": CONV,
        "ssm.inner_size": 2 * s.n_embd,
        "ssm.state_size": STATE,
        "ssm.time_step_rank": DT_RANK,
        "feed_forward_length": 0,
        "attention.head_count": 0,
    }


def _hybrid(s: Sizes) -> dict[str, Any]:
    return {
        **_heads(s),
        "attention.head_count_kv": [
            s.n_head_kv if layer % 3 == 2 else 0 for layer in range(s.n_layer)
        ],
        "ssm.conv_kernel": CONV,
        "ssm.inner_size": 2 * s.n_embd,
        "ssm.state_size": HYBRID_STATE,
        "ssm.time_step_rank": HYBRID_HEADS,
        "ssm.group_count": 1,
    }


def _window(
    window: int, of: Callable[[Sizes], dict[str, Any]]
) -> Callable[[Sizes], dict[str, Any]]:
    return lambda s: {**of(s), "attention.sliding_window": window, "logit_scale": 1.0}


ARCHITECTURES = {
    "llama": Made("llama", _plain, _llama),
    "qwen2": Made("qwen2", _plain, _qwen2, tied=True),
    "qwen3": Made("qwen3", _heads, _qwen3),
    "mixtral": Made("llama", _moe, _mixtral),
    "qwen3moe": Made("qwen3moe", _moe, _qwen3moe),
    "gemma2": Made("gemma2", _window(512, _heads), _gemma2, tied=True),
    "gemma3": Made("gemma3", _window(512, _heads), _gemma3, tied=True),
    "cohere2": Made("cohere2", _window(512, _heads), _cohere2, tied=True),
    "phi3": Made("phi3", _plain, _phi3),
    "gpt2": Made("gpt2", _plain, _gpt2, biased=True, positions=True),
    "starcoder": Made("starcoder", _plain, _gpt2, biased=True, positions=True),
    "deepseek2": Made("deepseek2", _mla, _deepseek2),
    "mamba": Made("mamba", _ssm, _mamba),
    "granitehybrid": Made("granitehybrid", _hybrid, _granite_hybrid),
    "gpt-oss": Made("gpt-oss", _window(128, _moe), _gpt_oss),
}
"""Every made architecture by a name of ours."""


def tensors_of(made: Made, s: Sizes) -> Shapes:
    """Return every tensor of a model."""
    yield "token_embd.weight", (s.n_embd, s.n_vocab)
    if made.positions:
        yield "position_embd.weight", (s.n_embd, s.n_ctx_train)
    yield "output_norm.weight", (s.n_embd,)
    if made.biased:
        yield "output_norm.bias", (s.n_embd,)
    if not made.tied:
        yield "output.weight", (s.n_embd, s.n_vocab)
    for layer in range(s.n_layer):
        for name, shape in made.layer(s, layer):
            yield f"blk.{layer}.{name}", shape


def kind_of(name: str, shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> Any:
    """Return the type a tensor is written in: matrices in `kind`, the rest in F32."""
    block = gguf.GGML_QUANT_SIZES[kind][0]
    small = len(shape) < 2 or name.endswith(".bias") or shape[0] % block
    kept = any(part in name for part in ("conv1d", "ssm_a", "ssm_d", "_norm", "ffn_gate_inp"))
    return gguf.GGMLQuantizationType.F32 if small or kept else kind


def write(
    path: Path,
    name: str,
    sizes: Sizes | None = None,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F16,
    file_type: int = 1,
) -> Path:
    """Write a model of one of `ARCHITECTURES` with random weights, and return its path."""
    made, s = ARCHITECTURES[name], sizes or Sizes()
    writer = described(path, made.arch, s, made.values(s), file_type)
    _add_vocabulary(writer, s.n_vocab)
    shapes = list(tensors_of(made, s))
    for tensor, shape in shapes:
        _announce(writer, tensor, shape, kind_of(tensor, shape, kind))
    _write_head(writer)
    random = np.random.default_rng(11)
    with path.open("ab") as file:
        for tensor, shape in shapes:
            file.write(b"\0" * (-file.tell() % 32))
            file.write(_random(random, shape, kind_of(tensor, shape, kind)))
        file.write(b"\0" * (-file.tell() % 32))
    return path


def write_sparse(
    path: Path,
    arch: str,
    sizes: Sizes,
    values: dict[str, Any],
    tensors: list[tuple[str, tuple[int, ...], gguf.GGMLQuantizationType]],
    file_type: int,
) -> Path:
    """Write a model whose weights are a hole in the file: right in every size, and no disk used."""
    writer = described(path, arch, sizes, values, file_type)
    _add_vocabulary(writer, sizes.n_vocab)
    total = 0
    for name, shape, kind in tensors:
        total += -(-_announce(writer, name, shape, kind) // 32) * 32
    _write_head(writer)
    with path.open("ab") as file:
        file.truncate(file.tell() + total)
    return path


def described(path: Path, arch: str, s: Sizes, values: dict[str, Any], file_type: int) -> Any:
    """Return a writer that knows the model's hyper-parameters."""
    writer: Any = gguf.GGUFWriter(path, arch)
    writer.add_name(f"made-up {arch}")
    writer.add_file_type(file_type)
    writer.add_context_length(s.n_ctx_train)
    writer.add_embedding_length(s.n_embd)
    writer.add_block_count(s.n_layer)
    writer.add_vocab_size(s.n_vocab)
    for key, value in values.items():
        add = {int: writer.add_uint32, float: writer.add_float32, list: writer.add_array}
        add[type(value)](f"{arch}.{key}", value)
    return writer


def _add_vocabulary(writer: Any, n_vocab: int) -> None:
    demo_model._add_vocabulary(writer, n_vocab)
    # llama.cpp looks for this one in every phi3.
    writer.kv_data[0]["tokenizer.ggml.tokens"].value[-1] = "<|endoftext|>"


def _announce(writer: Any, name: str, shape: tuple[int, ...], kind: Any) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    n_bytes = int(np.prod(shape)) // block * size
    row = shape[0] // block * size
    writer.add_tensor_info(
        name, [*reversed(shape[1:]), row], np.dtype(np.uint8), n_bytes, raw_dtype=kind
    )
    return n_bytes


def _write_head(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for file in writer.fout:
        writer.write_padding(file, file.tell())
    writer.close()


def _random(random: np.random.Generator, shape: tuple[int, ...], kind: Any) -> bytes:
    if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
        numbers = random.standard_normal(shape, dtype=np.float32) * shape[0] ** -0.5
        return bytes(numbers.astype(np.float16 if kind == 1 else np.float32).tobytes())
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return random.bytes(int(np.prod(shape)) // block * size)


def llama_70b(path: Path) -> Path:
    """Write a hole in the shape of Llama 3.1 70B at Q4_K_M: every tensor in its size and type."""
    kinds = gguf.GGMLQuantizationType
    s = Sizes(8192, 80, 64, 8, 128, 28672, 128256, 131072)
    eighth = s.n_layer // 8

    def kind(name: str, layer: int) -> gguf.GGMLQuantizationType:
        if name.endswith("norm.weight"):
            return kinds.F32
        middle = eighth <= layer < 7 * eighth
        finer = not middle or (layer - eighth) % 3 == 2
        if name == "attn_v.weight":
            return kinds.Q6_K if finer else kinds.Q5_K
        return kinds.Q6_K if name == "ffn_down.weight" and finer else kinds.Q4_K

    tensors = [
        ("token_embd.weight", (s.n_embd, s.n_vocab), kinds.Q4_K),
        ("output_norm.weight", (s.n_embd,), kinds.F32),
        ("output.weight", (s.n_embd, s.n_vocab), kinds.Q6_K),
        ("rope_freqs.weight", (s.head // 2,), kinds.F32),
        *(
            (f"blk.{layer}.{name}", shape, kind(name, layer))
            for layer in range(s.n_layer)
            for name, shape in _llama(s, layer)
        ),
    ]
    return write_sparse(path, "llama", s, _plain(s), tensors, 15)
