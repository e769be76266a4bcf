# SPDX-License-Identifier: MIT
"""Decides when an engine's process hangs: pure, without a clock of its own."""

from dataclasses import dataclass

HANG_S = 300.0
"""How long a job may show no sign of life. A card's compilers may need minutes at a first load;
a decode on the CPU shows signs between its steps, however slow it is."""
MEET_S = 30.0
"""How long llama.cpp may wait for an RPC server that it meets: one that is free takes moments."""
CANCEL_S = 10.0
"""How long llama.cpp may take to obey a cancel."""
LATE_S = 5.0
"""Looking this late means that we ourselves stood still; the engine's signs are still unread."""


@dataclass(slots=True)
class Watchdog:
    """Told what is heard of the process; `verdict` says in a sentence why it must be ended."""

    hang_limit_s: float = HANG_S
    cancel_limit_s: float = CANCEL_S
    meet_limit_s: float = MEET_S
    _heard_at: float = 0.0
    _idle_s: float = 0.0
    _cancelled_at: float | None = None
    _looked_at: float | None = None
    _meets: bool = False

    def job_begins(self, now: float, *, meets_servers: bool = False) -> None:
        """Start anew with a load or a reply."""
        self._heard_at, self._idle_s, self._cancelled_at = now, 0.0, None
        self._looked_at, self._meets = now, meets_servers

    def servers_met(self) -> None:
        """Note that the RPC servers have answered; from now on they are given work."""
        self._meets = False

    def hear(self, now: float, idle_s: float) -> None:
        """Note that the process sent something; `idle_s` ago llama.cpp itself showed a sign."""
        self._heard_at, self._idle_s = now, idle_s

    def cancelled(self, now: float) -> None:
        """Note that the job was asked to stop."""
        if self._cancelled_at is None:
            self._cancelled_at = now

    def verdict(self, now: float) -> str | None:
        """Return why the process must be ended now, or None while it is well."""
        late = self._looked_at is not None and now - self._looked_at > LATE_S
        self._looked_at = now
        if late:
            self._heard_at = now
            if self._cancelled_at is not None:
                self._cancelled_at = now
            return None
        if self._cancelled_at is not None and now - self._cancelled_at > self.cancel_limit_s:
            return f"did not stop within {self.cancel_limit_s:.0f} s of being told to"
        silent_s = max(now - self._heard_at, self._idle_s)
        if silent_s > self.hang_limit_s or (self._meets and self._idle_s > self.meet_limit_s):
            return f"showed no sign of life for {silent_s:.0f} s"
        return None
