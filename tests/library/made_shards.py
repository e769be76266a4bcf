# SPDX-License-Identifier: MIT
"""A model in several files, and a projector: real files both."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from rigpanel.library import demo_model
from rigpanel.library.demo_model import DemoShape


def write_shards(folder: Path, count: int) -> tuple[Path, ...]:
    """Write a small llama as `split-0000N-of-0000M.gguf` and return its files."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = DemoShape(n_vocab=600, n_layer=4)
    writer: Any = gguf.GGUFWriter(folder / "split.gguf", "llama", split_max_tensors=-(-39 // count))
    demo_model._describe(writer, shape)
    demo_model._add_vocabulary(writer, shape.n_vocab)
    demo_model._add_tensors(writer, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    files = tuple(sorted(folder.glob("split-*.gguf")))
    assert len(files) == count
    return files


def projector(path: Path) -> Path:
    """Write what a vision model brings beside its language model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer: Any = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_tensor("v.patch_embd.weight", np.zeros((8, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
