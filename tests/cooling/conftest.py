# SPDX-License-Identifier: MIT
"""Helpers that run, and end with the test."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cooling.helper_process import PATIENCE_S, RunningHelper
from tests.fakes.nvml import FakeRig

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
