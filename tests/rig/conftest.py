# SPDX-License-Identifier: MIT
"""A source over the fake driver, with a clock that tests turn."""

import ctypes
from collections.abc import Callable, Iterator

import pynvml
import pytest

from rigpanel.rig.nvml import NvmlSource
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import (
    VARIABLE,
)

Open = Callable[..., NvmlSource]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_nvml(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens sources whose binding loads a fake rig's library, as LD_LIBRARY_PATH would have it."""
    opened: list[NvmlSource] = []

    def open_nvml(rig: FakeRig, slow_period_s: float = 0.0) -> NvmlSource:
        monkeypatch.setenv(VARIABLE, str(rig.path))
        monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(rig.library)))
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        rig.state.pcie_block_ms = 0
        opened.append(NvmlSource(slow_period_s, clock))
        return opened[-1]

    yield open_nvml
    for source in opened:
        source.close()


@pytest.fixture
def source(fake_nvml: FakeRig, open_nvml: Open) -> NvmlSource:
    return open_nvml(fake_nvml)
