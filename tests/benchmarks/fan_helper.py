# SPDX-License-Identifier: MIT
"""What the fan helper costs while it only holds curves: processor time and memory.

python -m tests.benchmarks.fan_helper [SECONDS]
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.cooling.helper_process import RunningHelper
from tests.fakes.nvml import FakeRig

MOST_OF_A_CORE = 0.005
MOST_MIB = 40.0


def spent_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def measure(helper: RunningHelper, seconds: float) -> float:
    """Return the share of a core that both processes take."""
    pids = (helper.process.pid, helper.child)
    before = sum(map(spent_s, pids))
    begun = time.monotonic()
    time.sleep(seconds)
    return (sum(map(spent_s, pids)) - before) / (time.monotonic() - begun)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with tempfile.TemporaryDirectory() as folder:
        rig = FakeRig.two_3090s(Path(folder) / "rig")
        helper = RunningHelper(rig, Path(folder)).ready()
        idle = measure(helper, seconds)
        for card in (0, 1):
            helper.set_curve(card)
        holding = measure(helper, seconds)
        helper_mib, guard_mib = resident_mib(helper.child), resident_mib(helper.process.pid)
        helper.end()
    print(f"with no curve  {idle:.2%} of a core; two cards held  {holding:.2%}")
    print(f"ratio to the aim of {MOST_OF_A_CORE:.1%}: {holding / MOST_OF_A_CORE:.2f}")
    print(f"memory  helper {helper_mib:.1f} MiB, guard {guard_mib:.1f} MiB; aim: {MOST_MIB:g} MiB")
    return int(holding > MOST_OF_A_CORE or helper_mib + guard_mib > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
