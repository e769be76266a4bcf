# SPDX-License-Identifier: MIT
"""The machine around the cards: processor, memory and, where it may be read, package power."""

import time
from pathlib import Path

import psutil

from rigpanel.rig.readings import HostSample, Missing, Reading

MIB = 1024 * 1024
SHORTEST_MEAN_S = 0.1
POWERCAP = Path("/sys/class/powercap")
CPUINFO = Path("/proc/cpuinfo")


def cpu_power_remedy(
    power_w: Reading[float], powercap: Path | None = None, cpuinfo: Path | None = None
) -> str | None:
    """Return a sentence on what would bring the processor's power; None where nothing would.

    Linux lets only root read the energy counters, and has them in a module that not every
    distribution loads; a virtual machine has none.
    """
    if power_w is Missing.NO_PERMISSION:
        counters = " ".join(str(zone / "energy_uj") for zone in _packages(powercap or POWERCAP))
        return (
            "Only root may read the processor's energy counters. "
            f"`sudo chmod a+r {counters}` lets everyone on this machine until the next boot."
        )
    if power_w is not Missing.NOT_SUPPORTED:
        return None
    try:
        words = set((cpuinfo or CPUINFO).read_text().split())
    except (OSError, ValueError):
        return None
    if "hypervisor" in words or words.isdisjoint({"GenuineIntel", "AuthenticAMD"}):
        return None
    return (
        "The processor's energy counters are not there; `sudo modprobe intel_rapl_msr` brings "
        "them on most processors of Intel's and AMD's."
    )


def _packages(powercap: Path) -> list[Path]:
    """Return the folder of each package's counter, without those of its parts."""
    return [
        zone
        for zone in sorted(powercap.glob("*-rapl:*"))
        if zone.name.count(":") == 1 and (zone / "energy_uj").exists()
    ]


class HostReader:
    """Readings of the host; processor load and power are means since the last read."""

    def __init__(self, powercap: Path | None = None) -> None:
        self._powercap = powercap or POWERCAP
        self._energy: tuple[float, dict[Path, int]] | None = None
        self._kept: HostSample | None = None
        psutil.cpu_percent(None)
        self._read_at = time.monotonic()
        self._cpu_power()

    def read(self) -> HostSample:
        """Read the host, or within 0.1 s of the last read that again; only the first may wait."""
        wait_s = self._read_at + SHORTEST_MEAN_S - time.monotonic()
        if wait_s > 0:
            if self._kept is not None:
                return self._kept
            time.sleep(wait_s)
        self._read_at = time.monotonic()
        memory = psutil.virtual_memory()
        self._kept = HostSample(
            cpu_pct=psutil.cpu_percent(None),
            cpu_power_w=self._cpu_power(),
            memory_used_mib=(memory.total - memory.available) / MIB,
            memory_total_mib=memory.total / MIB,
        )
        return self._kept

    def _cpu_power(self) -> Reading[float]:
        """Watts of all packages since the last call, from RAPL's energy counters (microjoules)."""
        packages = _packages(self._powercap)
        if not packages:
            return Missing.NOT_SUPPORTED
        try:
            now = {zone: int((zone / "energy_uj").read_text()) for zone in packages}
            limits = {zone: int((zone / "max_energy_range_uj").read_text()) for zone in packages}
        except PermissionError:
            return Missing.NO_PERMISSION
        except (OSError, ValueError):
            return Missing.READ_FAILED
        before, self._energy = self._energy, (time.monotonic(), now)
        if before is None or before[1].keys() != now.keys():
            return Missing.READ_FAILED
        elapsed_s = self._energy[0] - before[0]
        if elapsed_s <= 0:
            return Missing.READ_FAILED
        used = sum((now[zone] - before[1][zone]) % (limits[zone] + 1) for zone in packages)
        return used / 1e6 / elapsed_s
