# SPDX-License-Identifier: MIT
"""Models and kinds of engine that many of these tests use."""

from pathlib import Path

import pytest

from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.library.demo_model import write_demo_model
from tests.engine.driving import Kind


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some MiB that load and reply at once; not to be written to."""
    return write_demo_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(params=[ProcessEngine, ThreadEngine], ids=["process", "thread"])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen
