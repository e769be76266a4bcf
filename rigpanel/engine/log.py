# SPDX-License-Identifier: MIT
"""What llama.cpp logs: the last lines, and the buffer sizes it reports while loading."""

import re
from collections import deque
from collections.abc import Callable

from rigpanel.engine.messages import DeviceUse

_BUFFER = re.compile(r":\s+(\S+)\s+(model|KV|RS|compute|output) buffer size\s*=\s*([\d.]+) MiB")
_PART = {"model": 0, "KV": 1, "RS": 1, "compute": 2, "output": 2}


class LlamaLog:
    """Collects lines; safe to feed with anything llama.cpp may print."""

    def __init__(self, keep: int = 200) -> None:
        self.lines: deque[str] = deque(maxlen=keep)
        self.echo: Callable[[str], None] | None = None
        """Given each whole line too."""
        self._partial = ""
        self._sizes: dict[str, list[float]] = {}

    def feed(self, text: str) -> None:
        """Take a piece of the log, which may be part of a line."""
        *whole, self._partial = (self._partial + text).split("\n")
        for line in whole:
            self.lines.append(line)
            if self.echo is not None:
                self.echo(line)
            found = _BUFFER.search(line)
            if found:
                device = found[1].removesuffix("_Mapped").removesuffix("_REPACK")
                device = "CPU" if device.endswith("_Host") else device
                self._sizes.setdefault(device, [0.0, 0.0, 0.0])[_PART[found[2]]] += float(found[3])

    def forget_sizes(self) -> None:
        """Start counting a new load."""
        self._sizes.clear()

    def devices(self) -> tuple[DeviceUse, ...]:
        """Return the memory reported for each device since the last load began, MiB."""
        return tuple(DeviceUse(name, *sizes) for name, sizes in sorted(self._sizes.items()))

    def last_error(self) -> str | None:
        """Return the last line that speaks of a failure, if there is one."""
        for line in reversed(self.lines):
            if "error" in line.lower() or "failed" in line.lower():
                return line.strip()
        return None
