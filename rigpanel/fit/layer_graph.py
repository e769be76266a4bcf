# SPDX-License-Identifier: MIT
"""The operations of one layer, as far as their results take memory (llama-graph.cpp)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rigpanel.fit.architecture import Architecture, Layer
from rigpanel.fit.graph import Graph
from rigpanel.library.ggml_types import KV_TYPES, row_bytes

F32 = 4
Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a layer's tensors by their names without `blk.N.`, the row length first."""
UNROTATED = {"gpt2", "starcoder", "mpt", "bloom", "refact", "jais", "codeshell"}
"""Architectures that do not turn queries and keys by their positions in a step of its own."""
ROTATED_IN_WINDOWS = {"cohere2", "cohere2moe"}
"""Architectures that turn them so only in layers that see a window."""
PARALLEL = {"cohere2", "cohere2moe", "command-r", "falcon", "phi2", "gptneox", "plamo", "stablelm"}
"""Architectures whose feed-forward part reads what attention reads."""
LAYER_NORM = {"cohere2", "cohere2moe", "command-r", "dbrx", "mpt", "olmo"}
"""Architectures with LayerNorm that need not have a bias for it, by which others are known."""
WHOLE_TO_THE_END = {
    "bailingmoe3", "cohere2moe", "gemma4", "gpt-oss", "hy_v3", "nemotron_h", "nemotron_h_moe",
    "qwen35", "qwen35moe", "qwen3next", "step35",
}  # fmt: skip
"""Architectures whose last layer runs for all tokens, not only for those logits are asked for."""
GLUED = {"phi3", "chatglm", "glm4", "plamo2", "plamo3"}
"""Architectures whose gate and up are one matrix."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass through the layers works on."""

    arch: Architecture
    name: str
    """The architecture's name."""
    tokens: int
    """Of one ubatch."""
    flash: bool
    layer_norm: bool
    """LayerNorm, which writes to a place of its own, in place of RMSNorm."""
    turned: tuple[bool, bool] = (False, False)
    """Whether queries and keys, and whether values are turned (Hadamard) to suit a quantized
    cache."""
    type_k: str = "f16"
    """Of the cache's keys."""


class LayerGraph:
    """Adds a layer's operations to a graph."""

    def __init__(
        self, graph: Graph, step: Step, masks: tuple[int, int], cells: tuple[int, int]
    ) -> None:
        self._graph = graph
        self._step = step
        self._masks = masks
        """Inputs with the mask of the whole cache and of the window."""
        self._cells = cells
        """Tokens in the whole cache and in the window."""

    def _row(self, n: int) -> int:
        return n * self._step.tokens * F32

    def _op(self, n: int, *sources: int, inplace: bool = False) -> int:
        return self._graph.add(self._row(n), *sources, inplace=inplace)

    def _norm(self, n: int, source: int) -> int:
        return self._op(n, source, inplace=not self._step.layer_norm)

    def run(self, shapes: Shapes, layer: Layer, entry: int, keep: int = 0) -> int:
        """Add one layer that reads `entry` and return what it leaves.

        The last layer keeps the `keep` tokens that logits are asked for, others (0) keep all.
        """
        n = self._step.arch.n_embd
        parallel = self._step.name in PARALLEL and "ffn_norm.weight" not in shapes
        normed = self._norm(n, entry) if "attn_norm.weight" in shapes else entry
        mixed = normed
        if layer.state:
            mixed = self._state(shapes, normed)
        if layer.cached:
            attended = self._attention(shapes, layer, normed)
            mixed = self._op(n, mixed, attended, inplace=True) if layer.state else attended
        if "post_attention_norm.weight" in shapes and "ffn_norm.weight" in shapes:
            mixed = self._norm(n, mixed)
        tokens = self._step.tokens
        if keep:
            kept = n * keep * F32
            mixed = self._graph.add(kept, mixed)
            entry = self._graph.add(kept, entry)
            normed = self._graph.add(kept, normed) if parallel else normed
            tokens = keep
        rest = LayerGraph(
            self._graph,
            replace(self._step, tokens=tokens),
            self._masks,
            self._cells,
        )
        return rest._feed_forward(shapes, entry, mixed, normed if parallel else None)

    def _feed_forward(self, shapes: Shapes, entry: int, mixed: int, beside: int | None) -> int:
        n = self._step.arch.n_embd
        if not any(name.startswith("ffn_") for name in shapes):
            return self._op(n, mixed, entry, inplace=True)
        if beside is not None:
            out = self._dense(shapes, beside, "")
            out = self._op(n, out, entry, inplace=True)
            return self._op(n, out, mixed, inplace=True)
        joined = self._op(n, mixed, entry, inplace=True)
        normed = self._norm(n, joined)
        if "ffn_gate_inp.weight" in shapes:
            out = self._experts(shapes, normed)
            if "ffn_up_shexp.weight" in shapes:
                shared = self._dense(shapes, normed, "_shexp")
                out = self._op(n, out, shared, inplace=True)
        else:
            out = self._dense(shapes, normed, "")
        if "post_ffw_norm.weight" in shapes:
            out = self._norm(n, out)
        return self._op(n, out, joined, inplace=True)

    def _dense(self, shapes: Shapes, source: int, part: str) -> int:
        up_shape = shapes.get(f"ffn_up{part}.weight") or shapes.get(f"ffn_gate{part}.weight")
        if up_shape is None:
            return source
        width = up_shape[-1]
        gated = f"ffn_gate{part}.weight" in shapes
        if gated:
            gate = self._op(width, source)
            up = self._op(width, source)
            active = self._op(width, gate, up)
        elif self._step.name in GLUED:
            both = self._op(width, source)
            active = self._op(width // 2, both)
        else:
            up = self._op(width, source)
            active = self._op(width, up, inplace=True)
        return self._op(self._step.arch.n_embd, active)

    def _experts(self, shapes: Shapes, source: int) -> int:
        arch, used = self._step.arch, max(self._step.arch.n_expert_used, 1)
        scores = self._op(arch.n_expert, source)
        chances = self._op(arch.n_expert, scores, inplace=True)
        ranking = self._op(arch.n_expert, chances)
        weights = self._op(used, chances, ranking)
        total = self._op(1, weights)
        weights = self._op(used, weights, total, inplace=True)
        glued = shapes.get("ffn_gate_up_exps.weight")
        up_shape = glued or shapes.get("ffn_up_exps.weight") or (0, 0)
        width = up_shape[1] // (2 if glued else 1)
        if glued:
            both = self._op(2 * width * used, source, ranking)
            active = self._op(width * used, both)
        elif "ffn_gate_exps.weight" in shapes:
            gate = self._op(width * used, source, ranking)
            up = self._op(width * used, source, ranking)
            active = self._op(width * used, gate, up)
        else:
            up = self._op(width * used, source, ranking)
            active = self._op(width * used, up, inplace=True)
        down = self._op(arch.n_embd * used, active, ranking)
        down = self._op(arch.n_embd * used, down, weights, inplace=True)
        return self._op(arch.n_embd, down)

    def _attention(self, shapes: Shapes, layer: Layer, source: int) -> int:
        if "attn_kv_a_mqa.weight" in shapes:
            query, kept = self._latent(shapes, layer, source)
        else:
            query, kept = self._queries(shapes, layer, source)
        for item in kept:
            self._graph.add(0, item)
        n_out = layer.n_head * layer.head_v
        mask = self._masks[1] if layer.windowed else self._masks[0]
        latent = "attn_kv_a_mqa.weight" in shapes and "attn_k_b.weight" in shapes
        if self._step.flash:
            out = self._op(n_out, query, mask)
            out = out if latent else self._turn(n_out, out, value=True)
        else:
            width = self._cells[layer.windowed] * layer.n_head
            chances = self._op(width, query)
            chances = self._op(width, chances, mask, inplace=True)
            if latent:
                # The values are a part of the keys, and are copied to be multiplied.
                n = self._cells[layer.windowed] * layer.n_head_kv * layer.head_v
                copied = self._graph.add(row_bytes(KV_TYPES[self._step.type_k], n))
                out = self._op(n_out, chances, copied)
            else:
                out = self._op(n_out, chances)
            out = self._op(n_out, out)
        if "attn_v_b.weight" in shapes:
            n_out = layer.n_head * shapes["attn_v_b.weight"][1]
            out = self._op(n_out, out)
            out = self._op(n_out, out)
        return self._op(self._step.arch.n_embd, out)

    def _queries(self, shapes: Shapes, layer: Layer, source: int) -> tuple[int, tuple[int, ...]]:
        """Add queries, keys and values; returns the queries and what goes into the cache."""
        n_q = layer.n_head * layer.head_k
        turned = self._step.name not in UNROTATED and (
            layer.windowed or self._step.name not in ROTATED_IN_WINDOWS
        )
        if "attn_qkv.weight" in shapes:
            all_three = self._op(shapes["attn_qkv.weight"][-1], source)
            # What is turned is no view: where no step before has copied it, it is copied first.
            query = self._op(n_q, all_three) if turned or self._step.turned[0] else all_three
            query = self._turn(n_q, query)
            value = self._op(layer.n_v, all_three) if self._step.turned[1] else all_three
            value = self._turn(layer.n_v, value, value=True)
            key = self._op(layer.n_k, all_three) if turned or self._step.turned[0] else all_three
            return query, (self._turn(layer.n_k, key), value)
        query = self._op(shapes.get("attn_q.weight", (0, n_q))[-1], source)
        if turned:
            # They are looked at head by head, and such a view is never written over.
            query = self._op(n_q, query)
        query = self._turn(n_q, query)
        value = self._turn(layer.n_v, self._op(layer.n_v, source), value=True)
        key = self._op(layer.n_k, source)
        key = self._op(layer.n_k, key) if turned else key
        return query, (self._turn(layer.n_k, key), value)

    def _turn(self, n: int, source: int, *, value: bool = False) -> int:
        """Add the turning of `n` numbers of each token, where the cache has them turned."""
        return self._op(n, source) if self._step.turned[value] else source

    def _latent(self, shapes: Shapes, layer: Layer, source: int) -> tuple[int, tuple[int, ...]]:
        """Add latent attention, whose cache keeps one compressed row for all heads."""
        rank = shapes["attn_kv_a_norm.weight"][0]
        rope = shapes["attn_kv_a_mqa.weight"][-1] - rank
        if "attn_q_b.weight" in shapes:
            low = self._op(shapes["attn_q_a.weight"][-1], source)
            query = self._op(shapes["attn_q_b.weight"][-1], low)
        else:
            query = self._op(shapes["attn_q.weight"][-1], source)
        if "attn_k_b.weight" in shapes:
            absorbed = self._op(layer.n_head * rank, query)
            turned = self._op(layer.n_head * rope, query)
            query = self._op(layer.n_head * (rank + rope), absorbed, turned)
            row = self._op(rank + rope, source)
            plain = self._op(rank, row)
            key_rope = self._op(rope, row)
            return query, (self._op(rank + rope, plain, key_rope),)
        row = self._op(rank + rope, source)
        plain = self._op(rank, row)
        wide = self._op(shapes["attn_kv_b.weight"][-1], plain)
        key_rope = self._op(rope, row)
        repeated = self._op(layer.n_head * rope, key_rope)
        key = self._op(layer.n_k, wide, repeated)
        return query, (key, self._op(layer.n_v, wide))

    def _state(self, shapes: Shapes, source: int) -> int:
        """Add a Mamba layer of the first or second kind; others are taken to be alike."""
        arch = self._step.arch
        if "ssm_in.weight" not in shapes:
            widest = max((shape[-1] for shape in shapes.values() if len(shape) > 1), default=0)
            middle = self._op(widest, source)
            return self._op(arch.n_embd, self._op(widest, middle))
        inner = shapes["ssm_out.weight"][0]
        conv, taps = shapes["ssm_conv1d.weight"][1], shapes["ssm_conv1d.weight"][0] - 1
        both = self._op(shapes["ssm_in.weight"][1], source)
        past = self._graph.add(taps * conv * F32)
        rolled = self._graph.add((taps + self._step.tokens) * conv * F32, past, both)
        mixed = self._op(conv, rolled)
        mixed = self._op(conv, mixed, inplace=True)
        if "ssm_x.weight" in shapes:
            small = self._op(shapes["ssm_x.weight"][1], mixed)
            rank = self._op(shapes["ssm_dt.weight"][0], small)
            time = self._op(inner, rank)
        else:
            small = mixed
            time = self._op(shapes["ssm_dt.bias"][0], both)
        state = max(layer.state for layer in arch.layers) - taps * conv
        scanned = self._graph.add(self._row(inner) + state * F32, mixed, time, small)
        weighted = self._op(inner, mixed)
        summed = self._op(inner, scanned, weighted, inplace="ssm_x.weight" in shapes)
        gate = self._op(inner, both)
        gated = self._op(inner, gate, summed)
        return self._op(arch.n_embd, gated)
