# SPDX-License-Identifier: MIT
"""Split mode tensor: every device holds a slice of each matrix and works on all layers."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from rigpanel.fit.architecture import Architecture, Layer
from rigpanel.library.ggml_types import BLOCKS
from rigpanel.library.gguf_header import GgufHeader, TensorInfo

UNSUPPORTED = {
    "grok", "mpt", "plamo2", "minicpm3", "gemma3n", "mamba", "mamba2", "jamba", "falcon-h1",
    "olmo2", "olmoe", "deepseek2", "deepseek32", "hy_v4", "dots3note", "glm-dsa", "bitnet", "t5",
    "nemotron_h", "nemotron_h_moe", "granitehybrid", "minimax-01", "minimax-m2", "minimax-m3",
    "mistral4", "kimi-linear", "bailingmoe3", "kimi-k3", "glm5-next", "qwen3tts", "qwen4exp",
}  # fmt: skip
"""Architectures that llama.cpp refuses to split so (`llm_arch_supports_sm_tensor`)."""
FASTER = 128
"""Slices come in multiples of this where that is possible: their kernels are faster."""
_COLUMNS = re.compile(
    r"attn_output\.weight|ssm_out\.weight|ffn_down(_exps)?\.weight|attn_(q|k|v|qkv)\.bias"
    r"|ffn_(up|gate)(_exps)?\.bias|attn_sinks\.weight|ssm_dt\.bias|ssm_a"
)
"""Tensors that are cut across their rows."""
_ROWS = re.compile(
    r"attn_(q|k|v|qkv|gate)\.weight|ffn_(up|gate|gate_up)(_exps)?\.weight"
    r"|ssm_(alpha|beta|ba|conv1d)\.weight|output\.weight"
)
"""Tensors of which each device holds some rows; what is in neither is on every device whole."""


@lru_cache(maxsize=4096)
def cut(whole: int, step: int, shares: tuple[float, ...], rotation: int = 0) -> tuple[int, ...]:
    """Return how much of `whole` each device gets, in multiples of `step` but for the rest.

    The rest falls to the last device; `rotation` shifts which one that is, so that over many
    layers all get their part of the rests.
    """
    n = len(shares)
    turned = [shares[(place + rotation) % n] for place in range(n)]
    sums = list(itertools.accumulate(turned))
    ends = [0, *(int(whole * reached / sums[-1]) for reached in sums[:-1]), whole]
    ends[1:-1] = [end - end % step for end in ends[1:-1]]
    parts = [0] * n
    for place, (low, high) in enumerate(itertools.pairwise(ends)):
        parts[(place + rotation) % n] = high - low
    return tuple(parts)


@lru_cache(maxsize=4096)
def _axis_of(name: str) -> int | None:
    """Return the dimension along which a tensor is cut; None for one that is not."""
    if _COLUMNS.fullmatch(name):
        return 0
    return 1 if _ROWS.fullmatch(name) else None


def _block(header: GgufHeader, prefix: str, names: Sequence[str]) -> int:
    for tensor in header.tensors:
        if tensor.name.startswith(prefix) and tensor.name[len(prefix) :] in names:
            return BLOCKS.get(tensor.type, (1, 0))[0]
    return 1


def _rotations(arch: Architecture, n_devices: int) -> tuple[int, ...]:
    """Return for each layer which device comes first: in turns among layers of its kind."""
    seen: Counter[tuple[bool, bool]] = Counter()
    turns = []
    for layer in arch.layers:
        kind = (bool(layer.state), layer.windowed)
        turns.append(seen[kind] % max(n_devices, 1))
        seen[kind] += 1
    return tuple(turns)


class Slices:
    """How the tensors of one model are cut for some shares."""

    def __init__(self, header: GgufHeader, arch: Architecture, shares: Sequence[float]) -> None:
        self._arch = arch
        self._shares = tuple(shares)
        self.n_devices = len(shares)
        self._rotations = _rotations(arch, len(shares))
        self._attention_block = _block(header, "blk.0.", ("attn_output.weight", "ssm_out.weight"))
        self._ffn_block = _block(header, "blk.0.", ("ffn_down.weight", "ffn_down_exps.weight"))

    def _head_step(self, layer: Layer) -> int:
        """Return of how many KV heads a slice is a multiple."""
        group = layer.n_head // layer.n_head_kv if layer.n_head_kv else 1
        width = max(group * layer.head_k, 1)
        faster = max(self._attention_block, 1)
        while faster < FASTER and faster * len(self._shares) < width:
            faster *= 2
        return math.lcm(width, faster) // width

    def _heads(self, layer: Layer, rotation: int) -> tuple[int, ...]:
        """Return how many KV heads of a layer each device gets."""
        return cut(layer.n_head_kv, self._head_step(layer), self._shares, rotation)

    def parts(self, tensor: TensorInfo, name: str, il: int | None) -> list[int]:
        """Return the bytes of a tensor on each device; `name` is without its layer."""
        axis = _axis_of(name)
        if axis is None or axis >= len(tensor.shape):
            return [tensor.n_bytes] * len(self._shares)
        whole = tensor.shape[axis]
        lengths = self._lengths(whole, name, il)
        return [tensor.n_bytes * length // whole if whole else 0 for length in lengths]

    def _lengths(self, whole: int, name: str, il: int | None) -> Sequence[int]:
        """Return how a dimension of `whole` numbers is cut for the tensor `name`."""
        if il is None:
            return cut(whole, 1, self._shares, self._arch.n_trunk % len(self._shares))
        rotation = self._rotations[il]
        layer = self._arch.layers[il]
        if name.startswith("ffn_"):
            step = math.lcm(self._ffn_block, FASTER)
            glued = name == "ffn_up.weight" and self._is_glued(whole, il)
            times = 2 if glued or name.startswith("ffn_gate_up") else 1
            return [times * part for part in cut(whole // times, step, self._shares, rotation)]
        if name.startswith("attn_") and layer.n_head_kv:
            heads = self._heads(layer, rotation)
            return [whole * part // layer.n_head_kv for part in heads]
        return cut(whole, 1, self._shares, rotation)

    def _is_glued(self, whole: int, il: int) -> bool:
        return self._arch.n_ff[il] > 0 and whole == 2 * self._arch.n_ff[il]

    def turn(self, il: int) -> int:
        """Return which device comes first in a layer."""
        return self._rotations[il]

    def layer(self, layer: Layer, turn: int, device: int) -> Layer:
        """Return what a device has of a layer's cache."""
        if not layer.n_head_kv:
            share = self._shares[device] / sum(self._shares)
            return replace(layer, state=math.ceil(layer.state * share))
        heads = self._heads(layer, turn)[device]
        group = layer.n_head // layer.n_head_kv
        return replace(layer, n_head_kv=heads, n_head=heads * group)
