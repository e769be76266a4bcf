# SPDX-License-Identifier: MIT
"""Asks llama.cpp, in a process of its own, what a load would take; nothing is allocated."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.messages import EngineError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.measured import Measured

TIMEOUT_S = 60.0


def dry_run(settings: LoadSettings, timeout_s: float = TIMEOUT_S) -> Measured:
    """Return what llama.cpp would allocate for these settings; takes about a second.

    Raises EngineError with its reason where it refuses them, ends or does not answer.
    """
    answer = dry_runs([settings], timeout_s)[0]
    if isinstance(answer, EngineError):
        raise answer
    return answer


def dry_runs(
    asked: Sequence[LoadSettings], timeout_s: float = TIMEOUT_S
) -> list[Measured | EngineError]:
    """Return what llama.cpp would allocate for each of several, or why it refuses.

    Raises EngineError where it ends or does not answer.
    """
    # Shares are given in the order of the cards on the bus, as NVML and this panel list them.
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **os.environ, "GGML_NO_BACKTRACE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rigpanel.engine.llama.dry_run"],
            input="".join(json.dumps(to_plain(settings)) + "\n" for settings in asked),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"llama.cpp did not answer within {timeout_s:.0f} s.") from error
    except OSError as error:
        raise EngineError(f"The dry run could not be started: {error.strerror}.") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if len(lines) != len(asked):
        raise EngineError(f"llama.cpp ended (status {done.returncode}): {_last_line(done.stderr)}")
    return [_answer(json.loads(line)) for line in lines]


def _answer(answer: dict[str, Any]) -> Measured | EngineError:
    if "error" in answer:
        return EngineError(answer["error"])
    return from_plain(Measured, answer["measured"])


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "it said nothing."
