# SPDX-License-Identifier: MIT
"""Asks llama.cpp, in a process of its own, what a load would take; nothing is allocated."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.endings import lost_a_server, no_answer, silent
from rigpanel.engine.environment import prepare_environment
from rigpanel.engine.messages import EngineError
from rigpanel.engine.rpc_peer import who_is_gone
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
    environment = dict(os.environ)
    prepare_environment(environment)
    servers = tuple({server: None for settings in asked for server in settings.rpc_servers})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rigpanel.engine.llama.dry_run", str(math.ceil(timeout_s) + 1)],
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
        late = f"llama.cpp did not answer within {timeout_s:.0f} s."
        gone = who_is_gone(servers)
        raise EngineError(f"{late} {silent(gone)}" if gone else late) from error
    except OSError as error:
        raise EngineError(f"The dry run could not be started: {error.strerror}.") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if len(lines) != len(asked):
        said = done.stderr.splitlines()
        gone = who_is_gone(servers) if lost_a_server(said) else ()
        raise EngineError(no_answer(done.returncode, said, gone, servers))
    return [_answer(json.loads(line)) for line in lines]


def _answer(answer: dict[str, Any]) -> Measured | EngineError:
    if "error" in answer:
        return EngineError(answer["error"])
    return from_plain(Measured, answer["measured"])
