# SPDX-License-Identifier: MIT
"""Helpers that run, and end with the test."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.cooling.helper_process import PATIENCE_S, RunningHelper
from tests.cooling.watched import Watched
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import VARIABLE

Start = Callable[..., RunningHelper]


@pytest.fixture
def start_helper(fake_nvml: FakeRig, tmp_path: Path) -> Iterator[Start]:
    """Starts helpers over the fake driver; all of them share one socket and one state folder."""
    if os.geteuid() != 0:
        pytest.skip("the helper runs as root only")
    started: list[RunningHelper] = []

    def start(*arguments: str, **options: Any) -> RunningHelper:
        started.append(RunningHelper(fake_nvml, tmp_path, *arguments, **options))
        return started[-1].ready()

    yield start
    for helper in started:
        if helper.process.poll() is None:
            helper.kill(signal.SIGCONT)
            helper.kill(signal.SIGKILL)
            helper.process.wait(PATIENCE_S)


@pytest.fixture
def helper(start_helper: Start) -> RunningHelper:
    return start_helper()


@pytest.fixture
def watched(fake_nvml: FakeRig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv(VARIABLE, str(fake_nvml.path))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(fake_nvml.library)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    for card in (0, 1):
        fake_nvml.card(card).temperature_c = 60
    watched = Watched(fake_nvml)
    yield watched
    watched.loop.control.close()
