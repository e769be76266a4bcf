# SPDX-License-Identifier: MIT
"""What every room's tests may ask for."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes.nvml import FakeRig

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep settings, data and cache of every test, and of what it starts, to itself."""
    monkeypatch.setenv("RIGPANEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def fake_nvml(tmp_path: Path) -> FakeRig:
    """A fake driver with two bridged RTX 3090s; programs started with its `env()` see them."""
    return FakeRig.two_3090s(tmp_path / "fake-nvml")
