# SPDX-License-Identifier: MIT
"""Models and kinds of engine that many of these tests use."""

from pathlib import Path

import pytest

from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.driving import Kind


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some MiB that load and reply at once; not to be written to."""
    return write_demo_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred MiB, slow enough to be stopped in the middle; not to be written to."""
    shape = DemoShape(n_embd=768, n_layer=8, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=4096)
    return write_demo_model(tmp_path_factory.mktemp("models") / "slow.gguf", shape)


@pytest.fixture(params=[ProcessEngine, ThreadEngine], ids=["process", "thread"])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen
