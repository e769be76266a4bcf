# SPDX-License-Identifier: MIT
"""What llama.cpp logs: the last lines, and the buffer sizes it reports while loading."""

import re
from collections import deque
from collections.abc import Callable

from rigpanel.engine.messages import DeviceUse

_BUFFER = re.compile(r":\s+(\S+)\s+(model|KV|RS|compute|output) buffer size\s*=\s*([\d.]+) MiB")
_REASON = "error loading model: "
_FAILURE = re.compile(r"error|fail|unable|cannot", re.IGNORECASE)
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

    def begin_load(self) -> None:
        """Start anew, so that an earlier load's sizes and errors are not told of this one."""
        self._sizes.clear()
        self.lines.clear()

    def devices(self) -> tuple[DeviceUse, ...]:
        """Return the memory reported for each device since the last load began, MiB."""
        return tuple(DeviceUse(name, *sizes) for name, sizes in sorted(self._sizes.items()))

    def last_error(self) -> str | None:
        """Return why llama.cpp failed, as far as its log since the load began tells."""
        lines = [line.strip() for line in reversed(self.lines)]
        for line in lines:
            if _REASON in line:
                return line.split(_REASON, 1)[1]
        return next((line for line in lines if _FAILURE.search(line)), None)
