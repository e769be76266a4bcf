# SPDX-License-Identifier: MIT
"""What every room's tests may ask for."""

import gc
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.fakes.nvml import FakeRig

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that take minutes to hours be asked for."""
    parser.addoption("--soak", action="store_true", help="run the tests that take very long too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes very long unless it is asked for."""
    if not config.getoption("--soak"):
        skipped = pytest.mark.skip(reason="takes very long; run with --soak")
        for item in items:
            if "soak" in item.keywords:
                item.add_marker(skipped)


def pytest_collection_finish() -> None:
    """Spare what has been imported from every later collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _collect_here() -> None:
    """Let Qt objects of the test before go on Qt's thread, not where a collector happens to run.

    Destroyed on another thread, a timer takes Qt's event loop with it.
    """
    if "PySide6.QtCore" in sys.modules:
        gc.collect()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings, data and cache of every test, and of what it starts, to itself."""
    monkeypatch.setenv("RIGPANEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def fake_nvml(tmp_path: Path) -> FakeRig:
    """A fake driver with two bridged RTX 3090s; programs started with its `env()` see them."""
    return FakeRig.two_3090s(tmp_path / "fake-nvml")


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred MiB, slow enough to be stopped in the middle; not to be written to."""
    shape = DemoShape(n_embd=768, n_layer=8, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=4096)
    return write_demo_model(tmp_path_factory.mktemp("models") / "slow.gguf", shape)
