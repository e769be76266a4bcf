# SPDX-License-Identifier: MIT
"""When the chat was reading a prompt and when it was writing, to shade the time axis with."""

import enum
from collections import deque
from dataclasses import dataclass, replace


class PhaseKind(enum.Enum):
    """What the model was doing."""

    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of work, in `time.monotonic` seconds; `end_s` is None while it lasts."""

    kind: PhaseKind
    begin_s: float
    end_s: float | None = None


class PhaseLog:
    """The latest phases, oldest first; at most one lasts."""

    def __init__(self, keep: int = 2000) -> None:
        self._phases: deque[Phase] = deque(maxlen=keep)

    def begin(self, kind: PhaseKind, at_s: float) -> None:
        """Begin a phase, ending the one that lasts."""
        self.end(at_s)
        self._phases.append(Phase(kind, at_s))

    def end(self, at_s: float) -> None:
        """End the phase that lasts, if one does."""
        if self._phases and self._phases[-1].end_s is None:
            self._phases[-1] = replace(self._phases[-1], end_s=at_s)

    def since(self, at_s: float) -> tuple[Phase, ...]:
        """Return the phases that had not ended by `at_s`."""
        return tuple(p for p in self._phases if p.end_s is None or p.end_s >= at_s)
