# SPDX-License-Identifier: MIT
"""The machine around the cards: processor, memory and, where it may be read, package power."""

import time
from pathlib import Path

import psutil

from rigpanel.rig.readings import HostSample, Missing, Reading

MIB = 1024 * 1024
SHORTEST_MEAN_S = 0.1
POWERCAP = Path("/sys/class/powercap")


class HostReader:
    """Readings of the host; processor load and power are means since the last read."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
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
        packages = [
            zone
            for zone in sorted(self._powercap.glob("*-rapl:*"))
            if zone.name.count(":") == 1 and (zone / "energy_uj").exists()
        ]
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
