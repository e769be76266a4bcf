# SPDX-License-Identifier: MIT
"""A small model with random weights: it loads and runs for real, and its replies are noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rigpanel.errors import RigpanelError

SEED = 20260124
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}</s>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_STEMS = (
    "the", "of", "and", "to", "in", "is", "it", "that", "for", "on", "with", "as", "was", "at",
    "by", "from", "card", "fan", "heat", "watt", "layer", "token", "model", "rig", "warm",
    "cool", "slow", "fast", "quiet", "air", "bridge", "memory", "power", "cable", "case",
    "evening", "morning", "light", "wind", "water", "stone", "green", "small", "large", "open",
    "round", "under", "over", "near", "after", "before", "between", "slowly", "often", "never",
    "always", "perhaps", "together", "once", "again", "because", "while", "where", "which",
    "every", "some",
)  # fmt: skip


class DemoModelError(RigpanelError):
    """The demo model cannot be made; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class DemoShape:
    """Size of a made-up llama: embedding width, layers, heads, feed-forward width, vocabulary."""

    n_embd: int = 128
    n_layer: int = 4
    n_head: int = 4
    n_head_kv: int = 2
    n_ff: int = 256
    n_vocab: int = 1024
    n_ctx_train: int = 4096
    exact: bool = False
    """Weights in F32 in place of F16: what a reply says then hangs less on rounding."""


def write_demo_model(path: Path, shape: DemoShape | None = None) -> Path:
    """Write the model to `path` (whole or not at all) and return it; raises DemoModelError."""
    try:
        import gguf
    except ImportError as error:
        raise DemoModelError(
            'Making the demo model needs the package gguf: pip install "rigpanel[demo]".'
        ) from error
    shape = shape or DemoShape()
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(part, "llama")
        _describe(writer, shape)
        _add_vocabulary(writer, shape.n_vocab)
        _add_tensors(writer, shape)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DemoModelError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _describe(writer: Any, shape: DemoShape) -> None:
    writer.add_name("rigpanel demo (random weights)")
    writer.add_file_type(0 if shape.exact else 1)
    writer.add_context_length(shape.n_ctx_train)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_rope_dimension_count(shape.n_embd // shape.n_head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.n_vocab)


def _add_vocabulary(writer: Any, n_vocab: int) -> None:
    """Write a sentencepiece-style vocabulary: control tokens, all bytes, letters, whole words."""
    control, byte, normal = 3, 6, 1
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{value:02X}>" for value in range(256)]
    types = [2, control, control] + [byte] * 256
    pieces = ["▁" + word for word in _STEMS] + list("▁abcdefghijklmnopqrstuvwxyz.,!?")
    pieces += [f"▁{a}▁{b}" for a in _STEMS for b in _STEMS if a != b]
    for piece in dict.fromkeys(pieces):
        if len(tokens) >= n_vocab:
            break
        tokens.append(piece)
        types.append(normal)
    tokens += [f"▁word{number}" for number in range(len(tokens), n_vocab)]
    types += [normal] * (n_vocab - len(types))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(rank) for rank in range(n_vocab)])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)


def _add_tensors(writer: Any, shape: DemoShape) -> None:
    random = np.random.default_rng(SEED)

    kind = np.float32 if shape.exact else np.float16

    def matrix(rows: int, columns: int) -> npt.NDArray[Any]:
        drawn = random.standard_normal((rows, columns), dtype=np.float32)
        scaled: npt.NDArray[Any] = (drawn * columns**-0.5).astype(kind)
        return scaled

    n_embd, head = shape.n_embd, shape.n_embd // shape.n_head
    n_kv = head * shape.n_head_kv
    output = matrix(shape.n_vocab, n_embd)
    output[:259] *= kind(0.1)
    writer.add_tensor("token_embd.weight", matrix(shape.n_vocab, n_embd))
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(n_embd, np.float32))
    for layer in range(shape.n_layer):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", np.ones(n_embd, np.float32))
        writer.add_tensor(block + "ffn_norm.weight", np.ones(n_embd, np.float32))
        writer.add_tensor(block + "attn_q.weight", matrix(n_embd, n_embd))
        writer.add_tensor(block + "attn_k.weight", matrix(n_kv, n_embd))
        writer.add_tensor(block + "attn_v.weight", matrix(n_kv, n_embd))
        writer.add_tensor(block + "attn_output.weight", matrix(n_embd, n_embd))
        writer.add_tensor(block + "ffn_gate.weight", matrix(shape.n_ff, n_embd))
        writer.add_tensor(block + "ffn_up.weight", matrix(shape.n_ff, n_embd))
        writer.add_tensor(block + "ffn_down.weight", matrix(n_embd, shape.n_ff))
