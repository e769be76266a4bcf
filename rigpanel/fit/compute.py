# SPDX-License-Identifier: MIT
"""The compute buffer: what the results of a pass take on the way from tokens to logits."""

from collections.abc import Sequence
from dataclasses import dataclass

from rigpanel.fit.architecture import Architecture
from rigpanel.fit.graph import Graph
from rigpanel.fit.kv_cache import cells, padded
from rigpanel.fit.layer_graph import F32, LayerGraph, Shapes, Step

F16, I32, I64 = 2, 4, 8
ALIKE = 2
"""Layers of one kind that are followed: from the second on the pattern repeats."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What decides the size of a pass: the model's layers and the context's settings."""

    arch: Architecture
    name: str
    layers: tuple[Shapes, ...]
    layer_norm: bool
    positions: bool
    """Whether positions are looked up in a table and added to the tokens."""
    n_ctx: int
    n_ubatch: int
    flash: bool
    turned: bool = False
    """Whether a quantized cache has queries, keys and values turned first."""
    n_outputs: int = 1
    """Tokens whose logits are asked for at once."""

    @property
    def tokens(self) -> int:
        """Tokens in one ubatch."""
        return min(padded(self.n_ctx), self.n_ubatch)


def compute_bytes(
    whole: Pass,
    on: Sequence[int],
    *,
    inputs: Sequence[int],
    first: bool,
    output: bool,
    after_host: bool = False,
    copies: int = 1,
) -> int:
    """Return the compute buffer of a device that holds the layers `on`.

    It holds what the layers `inputs` are given, those of all layers where the host gives it.
    `first` also embeds the tokens there, `output` also makes the logits; `after_host`
    says that the layer before the first is on the host; `copies` is how many of each input are
    held at once, so that several devices can work one after another.
    """
    if not on and not output and not first:
        return 0
    graph = Graph()
    row = whole.arch.n_embd * (whole.tokens if on or first else whole.n_outputs) * F32
    if first:
        for _ in range(copies):
            graph.input(row, lasting=True)  # Place for embeddings given in place of tokens.
        entry = graph.add(row, graph.input(whole.tokens * I32))
        if whole.positions:
            entry = graph.add(row, entry, graph.add(row), inplace=True)
    elif after_host and "ffn_gate_inp.weight" in whole.layers[on[0] - 1]:
        entry = _from_experts(whole, graph, row)
    else:
        entry = _handed_over(graph, row, copies)
        if whole.positions and 0 in on:
            entry = graph.add(row, entry, _handed_over(graph, row, copies), inplace=True)
    masks = _inputs(whole, graph, inputs, copies)
    step = Step(whole.arch, whole.name, whole.tokens, whole.flash, whole.layer_norm, whole.turned)
    window = padded(min(padded(whole.n_ctx), whole.arch.window + whole.n_ubatch))
    layer_graph = LayerGraph(graph, step, masks, (padded(whole.n_ctx), window))
    _add_strays(whole, graph, on, copies)
    final = len(whole.layers) - 1
    seen: dict[object, int] = {}
    for il in on:
        kind = (whole.arch.layers[il], tuple(sorted(whole.layers[il].items())))
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= ALIKE or il == final:
            entry = layer_graph.run(
                whole.layers[il],
                whole.arch.layers[il],
                entry,
                min(whole.n_outputs, whole.tokens) if il == final else 0,
            )
    if output:
        normed = graph.add(whole.arch.n_embd * whole.n_outputs * F32, entry, inplace=True)
        graph.add(whole.arch.n_vocab * whole.n_outputs * F32, normed)
    return graph.peak()


def _handed_over(graph: Graph, row: int, copies: int) -> int:
    """Add what another device hands over, as often as it is held."""
    held = [graph.input(row, lasting=copies > 1) for _ in range(copies)]
    return held[0]


def _from_experts(whole: Pass, graph: Graph, row: int) -> int:
    """Add the end of a layer on the host: what its experts say is weighed and summed here.

    llama.cpp has steps without weights of their own done by the card whose steps follow.
    """
    used = max(whole.arch.n_expert_used, 1)
    said = graph.input(used * row)
    joined = graph.input(row)
    summed = graph.add(row, said, graph.input(used * whole.tokens * F32))
    return graph.add(row, summed, joined, inplace=True)


def _add_strays(whole: Pass, graph: Graph, on: Sequence[int], copies: int) -> None:
    """Add what a layer with a state has handed over from the host, where cards work in turns.

    llama.cpp runs one step of such a layer on the host: once for each card, and once more for each
    that another hands over to. Measured; no rule for it was found.
    """
    shapes = [whole.layers[il] for il in on if "ssm_out.weight" in whole.layers[il]]
    alone = 0 in on and len(whole.layers) - 1 in on
    if copies > 1 and shapes and not alone:
        row = shapes[0]["ssm_out.weight"][0] * whole.tokens * F32
        for _ in range(copies * (1 if 0 in on else 2)):
            graph.input(row, lasting=True)


def _inputs(whole: Pass, graph: Graph, on: Sequence[int], copies: int) -> tuple[int, int]:
    """Add positions, places in the cache and masks; returns the two masks."""
    layers = [whole.arch.layers[il] for il in on]
    mask_item = F16 if whole.flash else F32
    masks = [0, 0]
    for index, windowed in enumerate((False, True)):
        of_kind = [layer for layer in layers if layer.cached and layer.windowed == windowed]
        if not of_kind:
            masks[index] = graph.input(0)
            continue
        n = cells(whole.arch, of_kind[0], whole.n_ctx, whole.n_ubatch)
        values = 1 if whole.flash else max(layer.n_v for layer in whole.arch.layers)
        for size in (whole.tokens * I64, whole.tokens * values * I64):
            for _ in range(copies):
                graph.input(size, lasting=True)
        for _ in range(copies):
            masks[index] = graph.input(n * whole.tokens * mask_item, lasting=True)
    for _ in range(copies):
        graph.input(whole.tokens * I32, lasting=True)
    return masks[0], masks[1]
