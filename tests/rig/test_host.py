# SPDX-License-Identifier: MIT
"""The host's readings, with a powercap folder of the test's own."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from rigpanel.rig.host import HostReader, cpu_power_remedy
from rigpanel.rig.readings import Missing

RANGE_UJ = 262_143_328_850


def package(powercap: Path, name: str, energy_uj: int) -> Path:
    zone = powercap / name
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    return zone / "energy_uj"


def test_memory_and_load_are_the_machines(tmp_path: Path) -> None:
    sample = HostReader(tmp_path).read()
    assert sample.memory_total_mib == psutil.virtual_memory().total / 2**20
    assert isinstance(sample.memory_used_mib, float)
    assert 0 < sample.memory_used_mib < psutil.virtual_memory().total / 2**20
    assert isinstance(sample.cpu_pct, float)
    assert 0 <= sample.cpu_pct <= 100


def test_a_machine_without_energy_counters_says_so(tmp_path: Path) -> None:
    assert HostReader(tmp_path).read().cpu_power_w is Missing.NOT_SUPPORTED


@pytest.mark.parametrize("kind", ["intel-rapl", "amd-rapl"])
@pytest.mark.parametrize("before", [0, RANGE_UJ - 1_000_000])
def test_power_is_the_packages_energy_over_the_time(kind: str, before: int, tmp_path: Path) -> None:
    energy = package(tmp_path, f"{kind}:0", before)
    package(tmp_path, f"{kind}:0:0", 5)  # a part of the package must not count twice
    began = time.monotonic()
    reader = HostReader(tmp_path)
    started = time.monotonic()
    energy.write_text(str((before + 3_000_000) % (RANGE_UJ + 1)))
    reading = time.monotonic()
    power = reader.read().cpu_power_w
    assert isinstance(power, float)
    longest_s, shortest_s = time.monotonic() - began, max(0.1, reading - started)
    assert 3.0 / longest_s <= power <= 3.0 / shortest_s * 1.1


@pytest.mark.skipif(sys.platform != "linux", reason="powercap is Linux's")
def test_counters_only_root_may_read_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = package(tmp_path, "intel-rapl:0", 0)
    real = Path.read_text

    def denied(path: Path, *arguments: str | None) -> str:
        # The tests may run as root, whom no file mode stops.
        if path == energy:
            raise PermissionError(path)
        return real(path, *arguments)

    monkeypatch.setattr(Path, "read_text", denied)
    power = HostReader(tmp_path).read().cpu_power_w
    assert power is Missing.NO_PERMISSION
    package(tmp_path, "intel-rapl:1", 0)
    package(tmp_path, "intel-rapl:1:0", 0)
    both = f"{energy} {tmp_path / 'intel-rapl:1' / 'energy_uj'}"
    assert f"`sudo chmod a+r {both}`" in str(cpu_power_remedy(power, tmp_path))


@pytest.mark.parametrize(
    ("cpuinfo", "mendable"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu sse2\n", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse2\n", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu sse2 hypervisor\n", False),
        ("BogoMIPS\t: 50.00\nFeatures\t: fp asimd\n", False),
        (None, False),
    ],
)
def test_counters_that_are_not_there_are_offered_where_a_module_brings_them(
    cpuinfo: str | None, mendable: bool, tmp_path: Path
) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    power = HostReader(tmp_path).read().cpu_power_w
    remedy = cpu_power_remedy(power, tmp_path, path)
    assert ("modprobe intel_rapl_msr" in (remedy or "")) is mendable
    assert cpu_power_remedy(65.0, tmp_path, path) is None


def test_reading_again_at_once_waits_for_nothing(tmp_path: Path) -> None:
    reader = HostReader(tmp_path)
    first = reader.read()
    began = time.monotonic()
    again = [reader.read() for _ in range(20)]
    if time.monotonic() - began < 0.09:
        assert set(again) == {first}
    assert time.monotonic() - began < 1.0
