# SPDX-License-Identifier: MIT
"""A second, small process that hands the fans back where the helper dies or hangs."""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType

from rigpanel.cooling import restore  # now: when it is needed, its file may be gone or another

HUNG_S = 10.0
FIRST_BEAT_S = 60.0
"""A driver that must wake eight cards is slow; until the first tick no fan is held."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What asks the helper to end."""
STOPPING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""With these a terminal would stop helper and guard at once, and leave the fans as they are."""
END_S = 5.0
"""What a helper is given to end by itself when it was asked to."""
PR_SET_PDEATHSIG = 1
NOT_STARTED = 3
"""Exit status of a helper that never touched a fan: there is nothing to hand back."""


def run_guarded(helper: Callable[[Callable[[], None]], int], hung_s: float = HUNG_S) -> int:
    """Run `helper` in a child and hand the fans back if it ends badly; return the exit status.

    The helper is given a function to call at each tick; `hung_s` without one and it is killed. If
    this process dies first, the helper is sent SIGTERM and hands the fans back itself.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    beats, beat = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(beats)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != guard:
            return 1
        return helper(lambda: _beat(beat))
    os.close(beat)
    return _watch(child, beats, hung_s)


def _beat(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(pipe, b".")


def _watch(child: int, beats: int, hung_s: float) -> int:
    asked_s: float | None = None
    ended = os.pidfd_open(child)  # which names this child alone, also once it is gone

    def pass_on(number: int, _frame: FrameType | None) -> None:
        nonlocal asked_s
        asked_s = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(ended, number)

    for number in ENDING:
        signal.signal(number, pass_on)
    killed_s: float | None = None
    heard_s = time.monotonic()
    patience_s = max(hung_s, FIRST_BEAT_S)
    open_pipe = True
    while True:
        watched = [ended, beats] if open_pipe else [ended]
        ready, _, _ = select.select(watched, [], [], 0.5)
        now = time.monotonic()
        if ended in ready:
            break
        if beats in ready:
            open_pipe = bool(os.read(beats, 4096))
            heard_s, patience_s = now, hung_s
        late = asked_s is not None and now - asked_s > END_S
        if late or now - heard_s > patience_s:
            killed_s = now if killed_s is None else killed_s
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(ended, signal.SIGKILL)
        if killed_s is not None and now - killed_s > END_S:
            break  # a call of the driver's holds it past SIGKILL; other cards' fans cannot wait
    gone, status = os.waitpid(child, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status) if gone else 1
    if code in {0, NOT_STARTED}:
        return min(code, 1)
    restore.main()
    return 1
