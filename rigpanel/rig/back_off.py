# SPDX-License-Identifier: MIT
"""When to try again what a driver refused."""

from collections.abc import Callable

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0


class BackOff:
    """When to try again: after 1 s, then twice as long each time, up to 30 s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wait_s = 0.0
        self._next = 0.0

    def due(self) -> bool:
        """Say whether it is time to try."""
        return self._clock() >= self._next

    def failed(self) -> None:
        """Wait longer before the next try."""
        self._wait_s = min(max(self._wait_s * 2, FIRST_RETRY_S), LAST_RETRY_S)
        self._next = self._clock() + self._wait_s

    def succeeded(self) -> None:
        """Try at once the next time."""
        self._wait_s = self._next = 0.0
