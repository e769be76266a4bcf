# SPDX-License-Identifier: MIT
"""Models that several tests of this room read."""

import pytest

from rigpanel.library.gguf_header import GgufHeader, read_header
from tests.fit.made_architectures import ARCHITECTURES, Sizes, llama_70b, write


@pytest.fixture(scope="session")
def article_model(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    """Llama 70B at Q4_K_M, right in every size."""
    return read_header(llama_70b(tmp_path_factory.mktemp("70b") / "llama-70b-q4_k_m.gguf"))


@pytest.fixture(scope="session")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GgufHeader]:
    """A small model of every architecture, by our name of it."""
    folder = tmp_path_factory.mktemp("made")
    small = Sizes(n_embd=128, n_layer=6, n_head=4, n_head_kv=2, head=32, n_ff=256, n_vocab=600)
    return {name: read_header(write(folder / name, name, small)) for name in ARCHITECTURES}
