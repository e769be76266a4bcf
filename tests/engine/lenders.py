# SPDX-License-Identifier: MIT
"""Real `rigpanel lend-devices` processes on loopback: devices on a machine without a card."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import IO


class Lender:
    """One process that lends its processor."""

    def __init__(self, bind: str = "127.0.0.1:0") -> None:
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})  # One thread: two that share one would spin.
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rigpanel", "lend-devices", "--bind", bind],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
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

    def end(self) -> None:
        """Kill it and close what it was read by."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def lending(count: int = 1) -> Iterator[list[Lender]]:
    """Have so many of them, each with an address of its own."""
    lenders: list[Lender] = []
    try:
        for _ in range(count):
            lenders.append(Lender())  # noqa: PERF401 - those that did start must be ended
        yield lenders
    finally:
        for lender in lenders:
            lender.end()
