# SPDX-License-Identifier: MIT
"""What a context keeps of a conversation in each layer: KV cache, sliding window, state."""

from rigpanel.fit.architecture import Architecture, Layer
from rigpanel.library.ggml_types import KV_TYPES, row_bytes

PAD = 256
"""Cells of a cache come in multiples of this."""
F32 = 4


def padded(n: int) -> int:
    """Return `n` cells as llama.cpp makes them."""
    return -(-n // PAD) * PAD


def cells(arch: Architecture, layer: Layer, n_ctx: int, n_ubatch: int) -> int:
    """Return how many tokens a layer's cache holds (with `swa_full` off and one sequence)."""
    whole = padded(n_ctx)
    return padded(min(whole, arch.window + n_ubatch)) if layer.windowed else whole


def layer_bytes(
    arch: Architecture, layer: Layer, n_ctx: int, n_ubatch: int, types: tuple[str, str]
) -> tuple[int, int, int]:
    """Return the bytes of keys, values and recurrent state of one layer.

    `types` are those of K and V. Without flash attention every layer's values are as wide as the
    widest layer's; see `widest_values`.
    """
    if not layer.cached:
        return 0, 0, layer.state * F32
    n = cells(arch, layer, n_ctx, n_ubatch)
    keys = n * row_bytes(KV_TYPES[types[0]], layer.n_k)
    values = 0 if arch.keys_only else n * row_bytes(KV_TYPES[types[1]], layer.n_v)
    return keys, values, layer.state * F32


def widest_values(arch: Architecture) -> int:
    """Return the numbers of the values of one token in the layer that has most."""
    return max((layer.n_v for layer in arch.layers), default=0)
