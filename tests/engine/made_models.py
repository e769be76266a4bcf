# SPDX-License-Identifier: MIT
"""Models made to say a known text, to crash llama.cpp, or to forget: real files all."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from rigpanel.library import demo_model
from rigpanel.library.demo_model import DemoShape, write_demo_model

BYTES_FROM = 3
"""Token of byte 0 in the demo vocabulary; the other bytes follow."""
END = 2
NEWLINE = BYTES_FROM + 0x0A
"""Last token of every prompt the demo template writes."""


def model_that_says(path: Path, text: bytes) -> Path:
    """Write a model whose greedy reply is `text`, a token a byte, each byte at most once."""
    return make_it_say(write_demo_model(path), text)


def make_it_say(path: Path, text: bytes) -> Path:
    """Have a demo model's greedy reply be `text`, where the prompt ends with a new line.

    Its blocks add nothing then, so the last token alone decides: the output row of the token that
    follows is the embedding of the one before.
    """
    chain = [NEWLINE, *(BYTES_FROM + value for value in text), END]
    assert len(set(chain)) == len(chain)
    tensors = _tensors(path)
    for name, data in tensors.items():
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            data[:] = 0
    tensors["output.weight"][:] = 0
    for now, after in itertools.pairwise(chain):
        tensors["output.weight"][after] += 10 * tensors["token_embd.weight"][now]
    return path


def model_with(path: Path, key: str, value: int) -> Path:
    """Write a demo model with one number of its header changed."""
    write_demo_model(path)
    reader = gguf.GGUFReader(path, "r+")
    reader.fields[key].parts[-1][0] = value
    reader.data.flush()
    return path


def model_with_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """Write a demo model with some of its bytes replaced by as many others."""
    assert len(old) == len(new)
    data = write_demo_model(path).read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def model_with_template(path: Path, template: str) -> Path:
    """Write a demo model with another chat template, no longer than its own."""
    own = demo_model.TEMPLATE
    comment = len(own) - len(template) - len("{##}")
    assert comment >= 0
    padded = template + "{#" + " " * comment + "#}"
    return model_with_bytes(path, own.encode(), padded.encode())


def model_in_parts(path: Path, shape: DemoShape, n_tensors: int) -> list[Path]:
    """Write a demo model as several files of at most `n_tensors` each; returns them in order."""
    _write(gguf.GGUFWriter(path, "llama", split_max_tensors=n_tensors), shape)
    return sorted(path.parent.glob(f"{path.stem}-*.gguf"))


def model_named(path: Path, name: str) -> Path:
    """Write a demo model whose header gives it this name."""
    writer: Any = gguf.GGUFWriter(path, "llama")
    describe = writer.add_name
    writer.add_name = lambda _: describe(name)
    _write(writer, DemoShape())
    return path


def _write(writer: Any, shape: DemoShape) -> None:
    demo_model._describe(writer, shape)
    demo_model._add_vocabulary(writer, shape.n_vocab)
    demo_model._add_tensors(writer, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def model_with_a_window(path: Path, window: int) -> Path:
    """Write a model whose layers see the last `window` tokens only (all but each fourth)."""
    shape = DemoShape()
    writer: Any = gguf.GGUFWriter(path, "cohere2")
    demo_model._describe(writer, shape)
    writer.add_layer_norm_eps(1e-5)
    writer.add_logit_scale(1.0)
    writer.add_sliding_window(window)
    writer.add_key_length(shape.n_embd // shape.n_head)
    writer.add_value_length(shape.n_embd // shape.n_head)
    demo_model._add_vocabulary(writer, shape.n_vocab)
    random = np.random.default_rng(7)

    def add(name: str, rows: int, columns: int) -> None:
        drawn = random.standard_normal((rows, columns), dtype=np.float32) * columns**-0.5
        writer.add_tensor(name, drawn)

    n_kv = shape.n_embd // shape.n_head * shape.n_head_kv
    add("token_embd.weight", shape.n_vocab, shape.n_embd)
    writer.add_tensor("output_norm.weight", np.ones(shape.n_embd, np.float32))
    for layer in range(shape.n_layer):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", np.ones(shape.n_embd, np.float32))
        sizes: Sequence[tuple[str, int, int]] = (
            ("attn_q", shape.n_embd, shape.n_embd),
            ("attn_k", n_kv, shape.n_embd),
            ("attn_v", n_kv, shape.n_embd),
            ("attn_output", shape.n_embd, shape.n_embd),
            ("ffn_gate", shape.n_ff, shape.n_embd),
            ("ffn_up", shape.n_ff, shape.n_embd),
            ("ffn_down", shape.n_embd, shape.n_ff),
        )
        for name, rows, columns in sizes:
            add(f"{block}{name}.weight", rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def model_that_draws(path: Path, logits: dict[str, float]) -> Path:
    """Write a model that always finds these letters this likely, and all else impossible.

    Every embedding is alike and its blocks add nothing, so that what came before decides nothing.
    """
    write_demo_model(path, DemoShape(exact=True))
    for name, data in _tensors(path).items():
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            data[:] = 0
        elif name == "token_embd.weight":
            data[:] = 1
        elif name == "output.weight":
            data[:] = -100 / data.shape[1]
            for letter, logit in logits.items():
                data[BYTES_FROM + ord(letter)] = logit / data.shape[1]
    return path


def model_without_template(path: Path) -> Path:
    """Write a demo model whose file brings no chat template."""
    return model_with_bytes(path, b"tokenizer.chat_template", b"tokenizer.chat_templatX")


def model_with_control_tokens(path: Path, *names: str) -> list[int]:
    """Write a demo model whose last tokens are control tokens of these names; returns them."""
    shape, count = DemoShape(), len(names)
    writer: Any = gguf.GGUFWriter(path, "llama")
    add_tokens, add_types = writer.add_token_list, writer.add_token_types
    writer.add_token_list = lambda tokens: add_tokens([*tokens[:-count], *names])
    controls = [gguf.TokenType.CONTROL] * count
    writer.add_token_types = lambda types: add_types([*types[:-count], *controls])
    _write(writer, shape)
    return list(range(shape.n_vocab - count, shape.n_vocab))


def model_with_a_state(path: Path) -> Path:
    """Write a Mamba model, which keeps a running state in place of a KV cache."""
    n_embd, n_inner, n_state, n_conv, n_rank, n_vocab = 64, 128, 16, 4, 4, 1024
    writer: Any = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(4096)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(1)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(n_conv)
    writer.add_ssm_inner_size(n_inner)
    writer.add_ssm_state_size(n_state)
    writer.add_ssm_time_step_rank(n_rank)
    writer.add_layer_norm_rms_eps(1e-5)
    demo_model._add_vocabulary(writer, n_vocab)
    random = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        drawn = random.standard_normal(shape, dtype=np.float32) * shape[-1] ** -0.5
        writer.add_tensor(name, drawn)

    add("token_embd.weight", n_vocab, n_embd)
    writer.add_tensor("output_norm.weight", np.ones(n_embd, np.float32))
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(n_embd, np.float32))
    add("blk.0.ssm_in.weight", 2 * n_inner, n_embd)
    add("blk.0.ssm_conv1d.weight", n_inner, n_conv)
    add("blk.0.ssm_conv1d.bias", n_inner)
    add("blk.0.ssm_x.weight", n_rank + 2 * n_state, n_inner)
    add("blk.0.ssm_dt.weight", n_inner, n_rank)
    add("blk.0.ssm_dt.bias", n_inner)
    writer.add_tensor("blk.0.ssm_a", -np.ones((n_inner, n_state), np.float32))
    writer.add_tensor("blk.0.ssm_d", np.ones(n_inner, np.float32))
    add("blk.0.ssm_out.weight", n_embd, n_inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(path: Path) -> dict[str, Any]:
    """Return the tensors of a file, to be changed in place."""
    return {tensor.name: tensor.data for tensor in gguf.GGUFReader(path, "r+").tensors}
