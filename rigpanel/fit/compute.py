# SPDX-License-Identifier: MIT
"""The compute buffer: what the results of a pass take on the way from tokens to logits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rigpanel.fit.architecture import Architecture
from rigpanel.fit.graph import Graph
from rigpanel.fit.kv_cache import cells, padded
from rigpanel.fit.layer_graph import F32, PARALLEL, WHOLE_TO_THE_END, LayerGraph, Shapes, Step
from rigpanel.library.ggml_types import QUANTIZED

F16, I32, I64 = 2, 4, 8
TURNED_BLOCK = 64
"""Heads whose length is a multiple of it are turned before a quantized cache takes them."""
ALIKE = 2
"""Layers of one kind that are followed besides its last: from the second on the pattern repeats."""


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
    types: tuple[str, str] = ("f16", "f16")
    """Of the keys and values in the cache."""
    n_outputs: int = 1
    """Tokens whose logits are asked for at once."""

    @property
    def tokens(self) -> int:
        """Tokens in one ubatch."""
        return min(padded(self.n_ctx), self.n_ubatch)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a pass one device does."""

    on: tuple[int, ...]
    """Its layers."""
    inputs: tuple[int, ...]
    """Layers whose inputs it holds: its own, or those of all where the host gives them."""
    first: bool
    """Whether the tokens are embedded there."""
    output: bool
    """Whether the logits are made there."""
    after: tuple[str, ...]
    """Tensors of the layer before its first where that is on the host, else none."""
    copies: int
    """How many of each input are held at once, so that several devices can work in turns."""


def alike(kinds: Sequence[int], on: Sequence[int]) -> tuple[int, ...]:
    """Return few layers that take as much room as the layers `on`; `kinds` are those of all.

    The first and the last of a model stand for themselves, any other for all of its kind.
    """
    seen: Counter[int] = Counter()
    chosen = []
    final = len(kinds) - 1
    last = {kinds[il]: il for il in on}
    for il in on:
        kind = kinds[il]
        seen[kind] += 1
        if seen[kind] <= ALIKE or il == last[kind]:
            chosen.append(il if il in {0, final} else kinds.index(kind, 1))
    return tuple(chosen)


def compute_bytes(whole: Pass, part: Part) -> int:
    """Return the compute buffer of a device that does this part of the pass."""
    on, first, copies = part.on, part.first, part.copies
    if not on and not part.output and not first:
        return 0
    graph = Graph()
    row = whole.arch.n_embd * (whole.tokens if on or first else whole.n_outputs) * F32
    if first:
        for _ in range(copies):
            graph.input(row, lasting=True)  # Place for embeddings given in place of tokens.
        entry = graph.add(row, graph.input(whole.tokens * I32))
        if whole.positions:
            entry = graph.add(row, entry, graph.add(row), inplace=True)
    elif part.after:
        entry = _from_host(whole, graph, row, part.after)
    else:
        entry = _handed_over(graph, row, copies)
        if whole.positions and 0 in on:
            entry = graph.add(row, entry, _handed_over(graph, row, copies), inplace=True)
    masks = _inputs(whole, graph, part.inputs, copies)
    sides = _turning_sides(whole)
    step = Step(
        arch=whole.arch,
        name=whole.name,
        tokens=whole.tokens,
        flash=whole.flash,
        layer_norm=whole.layer_norm,
        turned=(sides[0] > 0, sides[1] > 0),
        type_k=whole.types[0],
    )
    window = padded(min(padded(whole.n_ctx), whole.arch.window + whole.n_ubatch))
    layer_graph = LayerGraph(graph, step, masks, (padded(whole.n_ctx), window))
    _add_strays(whole, graph, on, copies)
    final = len(whole.layers) - 1
    late = whole.name in WHOLE_TO_THE_END
    for il in on:
        entry = layer_graph.run(
            whole.layers[il],
            whole.arch.layers[il],
            entry,
            min(whole.n_outputs, whole.tokens) if il == final and not late else 0,
        )
    if part.output:
        if late:
            entry = graph.add(whole.arch.n_embd * whole.n_outputs * F32, entry)
        normed = graph.add(whole.arch.n_embd * whole.n_outputs * F32, entry, inplace=True)
        graph.add(whole.arch.n_vocab * whole.n_outputs * F32, normed)
    return graph.peak()


def _turning_sides(whole: Pass) -> tuple[int, int]:
    """Return the sides of the matrices that turn keys and values for a quantized cache; 0 for none.

    That for the keys is the largest power of 2 that goes into a head (llama-kv-cache.cpp).
    """
    cached = [layer for layer in whole.arch.layers if layer.cached]
    if whole.arch.keys_only or not cached:
        return 0, 0
    first, sides = cached[0], [0, 0]
    if whole.types[0] in QUANTIZED and first.head_k % TURNED_BLOCK == 0:
        sides[0] = first.head_k & -first.head_k
    if whole.types[1] in QUANTIZED and first.head_v % TURNED_BLOCK == 0:
        sides[1] = TURNED_BLOCK
    return sides[0], sides[1]


def _handed_over(graph: Graph, row: int, copies: int) -> int:
    """Add what another device hands over, as often as it is held."""
    held = [graph.input(row, lasting=copies > 1) for _ in range(copies)]
    return held[0]


def _from_host(whole: Pass, graph: Graph, row: int, after: Sequence[str]) -> int:
    """Add the end of a layer on the host: what its matrices say is summed here.

    llama.cpp has steps without weights of their own done by the card whose steps follow; those
    that weigh what experts say are among them.
    """
    used = max(whole.arch.n_expert_used, 1)
    if "ffn_gate_inp.weight" in after:
        said = graph.input(used * row)
        joined = graph.input(row)
        summed = graph.add(row, said, graph.input(used * whole.tokens * F32))
        return graph.add(row, summed, joined, inplace=True)
    said, joined = graph.input(row), graph.input(row)
    summed = graph.add(row, said, joined, inplace=True)
    if whole.name in PARALLEL and "ffn_norm.weight" not in after:
        summed = graph.add(row, summed, graph.input(row), inplace=True)
    return summed


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
    attending = [layer for layer in layers if layer.cached]
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
        for side in _turning_sides(whole):
            for _ in range(copies if side else 0):
                graph.input(side * side * F32, lasting=True)
        for _ in range(copies):
            # Of a single copy the room is given back after the last layer that looks at it.
            early = copies == 1 and attending[-1].windowed != windowed
            masks[index] = graph.input(n * whole.tokens * mask_item, lasting=not early)
    for _ in range(copies):
        graph.input(whole.tokens * I32, lasting=True)
    return masks[0], masks[1]
