# SPDX-License-Identifier: MIT
"""What a model's hyper-parameters say of its layers, by llama.cpp's rules for each architecture."""

from dataclasses import dataclass

from rigpanel.library.gguf_header import GgufHeader

RECURRENT = {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"}
"""Architectures whose every layer keeps a state in place of a KV cache."""
HYBRID_BY_HEADS = {
    "jamba",
    "plamo2",
    "granitehybrid",
    "lfm2",
    "lfm2moe",
    "kimi-linear",
    "bailingmoe3",
    "kimi-k3",
    "glm5-next",
    "nemotron_h",
    "nemotron_h_moe",
}
"""Architectures where a layer without KV heads keeps a state."""
HYBRID_BY_INTERVAL = {"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"}
"""Architectures where all layers but each n-th keep a state."""
HYBRID_BOTH = {"falcon-h1"}
"""Architectures where every layer has a KV cache and a state."""
WITHOUT_CACHE = {
    "bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "eurobert",
    "modern-bert",
    "gemma-embedding",
    "dream",
    "llada",
    "llada-moe",
    "rnd1",
}
"""Architectures that llama.cpp runs without a KV cache."""


@dataclass(frozen=True, slots=True)
class _Windows:
    """Which layers of an architecture see a sliding window only."""

    period: int = 0
    """Each n-th layer sees everything; 0 only what the file says layer for layer."""
    dense_first: bool = False
    default: int = 0
    """Window where the file names none."""
    always: int = 0
    """Window whatever the file names, unless that is 0."""


WINDOWS = {
    "afmoe": _Windows(4),
    "cohere2": _Windows(4),
    "cohere2moe": _Windows(4, dense_first=True),
    "dflash": _Windows(),
    "exaone-moe": _Windows(4, default=128),
    "exaone4": _Windows(4, default=4096),
    "gemma2": _Windows(2, default=4096),
    "gemma3": _Windows(6),
    "gemma3n": _Windows(5),
    "gemma4": _Windows(),
    "gpt-oss": _Windows(2),
    "granite_swa": _Windows(),
    "laguna": _Windows(4, dense_first=True),
    "llama4": _Windows(4, default=8192, always=8192),
    "maple": _Windows(),
    "mellum": _Windows(4),
    "mimo2": _Windows(),
    "muse-glimmer": _Windows(4),
    "olmo2": _Windows(4),
    "plamo3": _Windows(8),
    "smallthinker": _Windows(4, dense_first=True, always=4096),
    "spark2_5": _Windows(),
    "step35": _Windows(),
}
"""The architectures for which llama.cpp keeps a smaller cache (`load_swa_pattern`)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps of a conversation."""

    n_head: int
    n_head_kv: int
    head_k: int
    """Length of a key of one head."""
    head_v: int
    cached: bool
    """Whether it has a KV cache."""
    windowed: bool
    state: int
    """Numbers of its recurrent state; 0 for none."""

    @property
    def n_k(self) -> int:
        """Numbers of the keys of one token."""
        return self.head_k * self.n_head_kv

    @property
    def n_v(self) -> int:
        """Numbers of the values of one token."""
        return self.head_v * self.n_head_kv


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes that decide what a context takes."""

    n_embd: int
    n_vocab: int
    layers: tuple[Layer, ...]
    window: int
    """Tokens a windowed layer sees."""
    keys_only: bool
    """Multi-head latent attention: the cache holds one compressed row, and no values."""
    n_expert: int
    n_expert_used: int
    n_ff: tuple[int, ...]
    """Width of the feed-forward part of each layer; 0 where it has none."""
    n_trunk: int
    """Layers that write the reply; those after it only guess ahead, and are not loaded."""

    @property
    def windowed(self) -> bool:
        """Whether some layers see a window only."""
        return any(layer.windowed for layer in self.layers)


def architecture_of(header: GgufHeader) -> Architecture:
    """Return the sizes of the model that `header` describes."""
    windowed, window = _windows(header)
    recurrent = _recurrent(header)
    heads = header.each_layer("attention.head_count")
    heads_kv = header.each_layer("attention.head_count_kv")
    if "attention.head_count_kv" not in header.values:
        heads_kv = heads
    table = next((t.shape for t in header.tensors if t.name == "token_embd.weight"), (0, 0))
    n_embd = header.number("embedding_length") or table[0]
    own = n_embd // heads[0] if heads and heads[0] else 0
    head_k = header.number("attention.key_length", own) if own else 0
    head_v = header.number("attention.value_length", own) if own else 0
    head_k_swa = header.number("attention.key_length_swa", head_k)
    head_v_swa = header.number("attention.value_length_swa", head_v)
    n_trunk = max(header.n_layer - header.number("nextn_predict_layers"), 0) or header.n_layer
    n_own_cache = _layers_with_own_cache(header)
    n_ff = header.each_layer("feed_forward_length")
    state = _state(header, heads[0] if heads else 0)
    layers = []
    for il in range(header.n_layer):
        inside = il < n_trunk
        kept = inside and il < n_own_cache and header.arch not in WITHOUT_CACHE
        only_ffn = header.arch.startswith("nemotron_h") and n_ff[il] > 0
        both = header.arch in HYBRID_BOTH
        layers.append(
            Layer(
                n_head=heads[il],
                n_head_kv=heads_kv[il],
                head_k=head_k_swa if windowed[il] else head_k,
                head_v=head_v_swa if windowed[il] else head_v,
                cached=kept and (both or not recurrent[il]) and not only_ffn,
                windowed=windowed[il],
                state=state if inside and (both or recurrent[il]) and not only_ffn else 0,
            )
        )
    used = header.each_layer("expert_used_count")
    return Architecture(
        n_embd=n_embd,
        n_vocab=header.n_vocab or table[-1],
        layers=tuple(layers),
        window=window,
        keys_only=bool(
            header.number("attention.key_length_mla")
            and header.number("attention.value_length_mla")
        ),
        n_expert=header.number("expert_count"),
        n_expert_used=max(used, default=0),
        n_ff=n_ff,
        n_trunk=n_trunk,
    )


def _windows(header: GgufHeader) -> tuple[tuple[bool, ...], int]:
    """Return for each layer whether it sees a window only, and how long that is."""
    n = header.n_layer
    none = ((False,) * n, 0)
    if header.arch in {"lfm2", "lfm2moe"}:
        window = header.number("attention.sliding_window")
        kv = header.each_layer("attention.head_count_kv")
        return (tuple(heads > 0 for heads in kv), window) if window else none
    rule = WINDOWS.get(header.arch)
    if rule is None or (header.arch == "exaone4" and n != 64):
        return none
    window = header.number("attention.sliding_window", rule.default)
    if window <= 0:
        return none
    window = rule.always or window
    pattern = header.values.get("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        given = [bool(value) for value in pattern[:n]]
        return (*given, *[False] * (n - len(given))), window
    period = pattern if isinstance(pattern, int) and not isinstance(pattern, bool) else rule.period
    if period <= 0:
        return ((pattern is not None or rule.period > 0,) * n, window)
    n_trunk = n - header.number("nextn_predict_layers")
    first = 0 if rule.dense_first else period - 1
    return tuple(il % period != first and il < n_trunk for il in range(n)), window


def _recurrent(header: GgufHeader) -> tuple[bool, ...]:
    """Return for each layer whether it keeps a state in place of a KV cache."""
    n = header.n_layer
    if header.arch in RECURRENT:
        return (True,) * n
    if header.arch in HYBRID_BY_HEADS:
        return tuple(heads == 0 for heads in header.each_layer("attention.head_count_kv"))
    if header.arch in HYBRID_BY_INTERVAL:
        listed = header.values.get("attention.recurrent_layers")
        if isinstance(listed, tuple):
            given = [bool(value) for value in listed[:n]]
            return (*given, *[False] * (n - len(given)))
        interval = header.number("full_attention_interval", 4) or 4
        return tuple((il + 1) % interval != 0 for il in range(n))
    return (False,) * n


def _layers_with_own_cache(header: GgufHeader) -> int:
    """Return from which layer on the cache of an earlier one is used."""
    if header.arch == "gemma3n":
        return 20
    if header.arch == "gemma4":
        return header.n_layer - header.number("attention.shared_kv_layers")
    return header.n_layer


def _state(header: GgufHeader, n_head: int) -> int:
    """Return the numbers that one recurrent layer keeps (`n_embd_r` and `n_embd_s`)."""
    n_embd = header.number("embedding_length")
    if head_size := header.number("wkv.head_size"):
        return (header.number("token_shift_count", 2) + head_size) * n_embd
    if taps := header.number("shortconv.l_cache"):
        return n_embd * (taps - 1) + header.number("ssm.state_size") * header.number(
            "ssm.inner_size"
        )
    conv = header.number("ssm.conv_kernel")
    if head := header.number("kda.head_dim"):
        return 3 * (conv - 1 if conv else 3) * n_head * head + head * head * n_head
    inner, size = header.number("ssm.inner_size"), header.number("ssm.state_size")
    taps = max(conv - 1, 0) * (inner + 2 * header.number("ssm.group_count") * size)
    return taps + size * inner
