# SPDX-License-Identifier: MIT
"""Models that several tests of this room read."""

import pytest

from rigpanel.library.gguf_header import GgufHeader, read_header
from tests.fit.made_architectures import llama_70b


@pytest.fixture(scope="session")
def article_model(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    """Llama 70B at Q4_K_M, right in every size."""
    return read_header(llama_70b(tmp_path_factory.mktemp("70b") / "llama-70b-q4_k_m.gguf"))
