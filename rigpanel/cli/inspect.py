# SPDX-License-Identifier: MIT
"""`rigpanel inspect`: what one model file's header says."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rigpanel.cli.terminal import harmless
from rigpanel.library.ggml_types import TYPE_NAMES
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.library.words import count_words, size_words
from rigpanel.rig.as_json import with_missing
from rigpanel.rig.readings import Missing, Reading

MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a GGUF file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--demo", action="store_true", help="changes nothing: files are no rig")


def run(options: argparse.Namespace) -> int:
    """Print the header."""
    header = read_header(options.model)
    if options.json:
        json.dump(as_json(header), sys.stdout, allow_nan=False, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print(as_text(header))
    return 0


def header_values(header: GgufHeader) -> dict[str, Any]:
    """Return what every command says of a model."""
    return {
        "path": str(header.path),
        "arch": header.arch,
        "name": header.name,
        "params": header.n_params,
        "file_type": header.file_type,
        "size_mib": round(header.size_mib, 1),
        "n_layer": header.n_layer,
        "n_ctx_train": _known(header.n_ctx_train),
    }


def as_json(header: GgufHeader) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    return with_missing(
        {
            **header_values(header),
            "n_embd": _known(header.number("embedding_length")),
            "n_head": _known(max(header.each_layer("attention.head_count"), default=0)),
            "n_head_kv": _known(max(header.each_layer("attention.head_count_kv"), default=0)),
            "n_expert": header.number("expert_count"),
            "n_expert_used": max(header.each_layer("expert_used_count"), default=0),
            "n_vocab": _known(header.n_vocab),
            "tokenizer": header.values.get("tokenizer.ggml.model", Missing.NOT_SUPPORTED),
            "chat_template": header.chat_template or Missing.NOT_SUPPORTED,
            "shards": [str(path) for path in header.shards],
            "n_tensors": len(header.tensors),
            "tensor_types": [
                {"type": name, "tensors": count, "size_mib": round(size / MIB, 1)}
                for name, count, size in _types(header)
            ],
        }
    )


def _known(value: int) -> Reading[int]:
    return value or Missing.NOT_SUPPORTED


def _types(header: GgufHeader) -> list[tuple[str, int, int]]:
    counts: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    for tensor in header.tensors:
        counts[tensor.type] += 1
        sizes[tensor.type] += tensor.n_bytes
    return [
        (TYPE_NAMES.get(kind, f"type {kind}"), counts[kind], size)
        for kind, size in sizes.most_common()
    ]


def as_text(header: GgufHeader) -> str:
    """Return the header as lines for people."""
    template = header.chat_template or ""
    rows = [
        ("Name", header.name),
        ("Architecture", header.arch),
        ("Parameters", count_words(header.n_params)),
        ("Quantization", header.file_type),
        ("Size", _files(header)),
        ("Layers", str(header.n_layer)),
        ("Context", f"{header.n_ctx_train or 'not given'}"),
        ("Embedding", str(header.number("embedding_length"))),
        ("Heads", _heads(header)),
        ("Vocabulary", f"{header.n_vocab or 'none'}"),
        ("Chat template", f"{len(template)} characters" if template else "none"),
        *(
            ("Tensors", f"{count} {kind}, {size_words(size / MIB)}")
            for kind, count, size in _types(header)
        ),
    ]
    if experts := header.number("expert_count"):
        used = max(header.each_layer("expert_used_count"), default=0)
        rows.insert(9, ("Experts", f"{experts}, {used} at a time"))
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label.ljust(width)}  {harmless(value)}" for label, value in rows)


def _files(header: GgufHeader) -> str:
    size = size_words(header.size_mib)
    return size if len(header.shards) == 1 else f"{size} in {len(header.shards)} files"


def _heads(header: GgufHeader) -> str:
    heads = max(header.each_layer("attention.head_count"), default=0)
    kv = max(header.each_layer("attention.head_count_kv"), default=0)
    return f"{heads}, {kv} for keys and values" if kv else str(heads)
