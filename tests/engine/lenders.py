# SPDX-License-Identifier: MIT
"""Real `rigpanel lend-devices` processes on loopback: devices on a machine without a card."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_GIVEN = re.compile(r"\[alloc_buffer\].* -> remote_ptr: (\w+), remote_size: (\d+)")
_FREED = re.compile(r"\[free_buffer\] remote_ptr: (\w+)")


class Lender:
    """One process that lends its processor; `trace` is a file for all that it is asked for."""

    def __init__(self, bind: str = "127.0.0.1:0", trace: Path | None = None) -> None:
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})  # One thread: two that share one would spin.
        self.trace = trace
        traced = {} if trace is None else {"GGML_RPC_DEBUG": "1"}
        program = ["rigpanel", "lend-devices", "--bind", bind]
        if trace is not None:
            program = ["tests.engine.traced_lender"]
        try:
            with contextlib.ExitStack() as files:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", *program],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE
                    if trace is None
                    else files.enter_context(trace.open("wb")),
                    text=True,
                    env={**os.environ, **traced},
                )
        finally:
            os.sched_setaffinity(0, processors)
        self.said: list[str] = []
        self.address = self._address(self.process.stdout)

    def _address(self, output: IO[str] | None) -> str:
        assert output is not None
        for line in output:
            self.said.append(line)
            if found := re.match(r"Listening on (\S+);", line):
                return found[1]
        raise AssertionError(f"it does not listen: {self.said}")

    def allocated(self, since: int = 0) -> list[int]:
        """Return the bytes of each buffer it has given out and not taken back, by its trace.

        Those before the trace was `since` bytes long are left out.
        """
        assert self.trace is not None
        living: dict[str, int] = {}
        for line in self.trace.read_text(errors="replace")[since:].splitlines():
            if found := _GIVEN.search(line):
                living[found[1]] = int(found[2])
            elif found := _FREED.search(line):
                living.pop(found[1], None)
        return list(living.values())

    def end(self) -> None:
        """Kill it and close what it was read by."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def lending(count: int = 1, traces: Path | None = None) -> Iterator[list[Lender]]:
    """Have so many of them, each with an address of its own; `traces` is a folder for traces."""
    lenders: list[Lender] = []
    try:
        for number in range(count):
            trace = None if traces is None else traces / f"lender-{number}.txt"
            lenders.append(Lender(trace=trace))
        yield lenders
    finally:
        for lender in lenders:
            lender.end()
