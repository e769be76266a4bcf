# SPDX-License-Identifier: MIT
"""`rigpanel gpus` as a program of its own, over the fake driver."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest

from tests.fakes.nvml import OLD_DRIVER_LACKS, FakeRig
from tests.fakes.nvml.rig import (
    DRIVER_NOT_LOADED,
    MIB,
    NO_PERMISSION,
    VERSION_MISMATCH,
)

TOP = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "rigpanel", "gpus")
VOLATILE = {
    "temperature_c",
    "slowdown_c",
    "shutdown_c",
    "power_draw_w",
    "power_limit_w",
    "power_limit_min_w",
    "power_limit_max_w",
    "energy_j",
    "utilization_pct",
    "memory_used_mib",
    "memory_total_mib",
    "clock_sm_mhz",
    "clock_mem_mhz",
    "throttle_reasons",
    "fans",
    "pcie",
    "nvlink",
    "processes",
}


def run(env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=TOP,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read(rig: FakeRig, *words: str) -> dict[str, Any]:
    done = run(rig.env(), "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


@contextmanager
def watching(rig: FakeRig, *words: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [*COMMAND, *words],
        cwd=TOP,
        env=rig.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(stream: IO[str], condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Read snapshots until one meets the condition; the test's time limit ends a vain wait."""
    for line in stream:
        shown: dict[str, Any] = json.loads(line)
        if condition(shown):
            return shown
    raise AssertionError("it ended before that came")


def card_as_poked(rig: FakeRig, index: int, **changes: object) -> dict[str, Any]:
    """Say what a card of `FakeRig.two_3090s` reads, as CONTRACT's JSON."""
    fan = {
        "duty_pct": 30.0,
        "rpm": 900,
        "policy": "auto",
        "min_duty_pct": 30.0,
        "max_duty_pct": 100.0,
    }
    expected = {
        "index": index,
        "uuid": rig.uuid(index),
        "name": "NVIDIA GeForce RTX 3090",
        "pci_bus_id": ("00000000:01:00.0", "00000000:21:00.0")[index],
        "temperature_c": 38.0,
        "slowdown_c": 95.0,
        "shutdown_c": 98.0,
        "power_draw_w": 25.3,
        "power_limit_w": 350.0,
        "power_limit_min_w": 100.0,
        "power_limit_max_w": 400.0,
        "energy_j": 123456.7,
        "utilization_pct": 0.0,
        "memory_used_mib": 310.0,
        "memory_total_mib": 24576.0,
        "clock_sm_mhz": 210,
        "clock_mem_mhz": 405,
        "throttle_reasons": ["gpu_idle"],
        "fans": [{"fan": 0, **fan}, {"fan": 1, **fan}],
        "pcie": {
            "gen": 1,
            "width": 16,
            "max_gen": 4,
            "max_width": 16,
            "tx_mib_s": 0.0,
            "rx_mib_s": 0.0,
        },
        "nvlink": {"links": 4, "active": 4, "version": "3.1", "peers": [rig.uuid(1 - index)]},
        "processes": [],
        "missing": {},
    }
    return {**expected, **changes}


def test_two_bridged_3090s_at_work(fake_nvml: FakeRig) -> None:
    card = fake_nvml.card(1)
    card.temperature_c, card.power_mw, card.limit_mw, card.energy_mj = 63, 312_400, 340_000, 5000
    card.utilization_pct, card.memory_used_bytes = 97, 20339 * MIB
    card.clock_sm_mhz, card.clock_mem_mhz, card.throttle_mask = 1695, 9751, 0x04
    card.pcie_gen, card.pcie_tx_kib_s, card.pcie_rx_kib_s = 4, 12 * 1024, 40 * 1024
    card.fans[0].duty_pct, card.fans[0].rpm = 61, 1980
    card.fans[1].duty_pct, card.fans[1].rpm, card.fans[1].manual = 64, 2070, 1
    fake_nvml.run_process(1, os.getpid(), 20010)
    shown = read(fake_nvml)
    limits = {"min_duty_pct": 30.0, "max_duty_pct": 100.0}
    expected = card_as_poked(
        fake_nvml,
        1,
        temperature_c=63.0,
        power_draw_w=312.4,
        power_limit_w=340.0,
        energy_j=5.0,
        utilization_pct=97.0,
        memory_used_mib=20339.0,
        clock_sm_mhz=1695,
        clock_mem_mhz=9751,
        throttle_reasons=["sw_power_cap"],
        fans=[
            {"fan": 0, "duty_pct": 61.0, "rpm": 1980, "policy": "auto", **limits},
            {"fan": 1, "duty_pct": 64.0, "rpm": 2070, "policy": "manual", **limits},
        ],
        pcie={
            "gen": 4,
            "width": 16,
            "max_gen": 4,
            "max_width": 16,
            "tx_mib_s": 12.0,
            "rx_mib_s": 40.0,
        },
        processes=[
            {
                "pid": os.getpid(),
                "name": Path("/proc/self/comm").read_text().strip(),
                "memory_mib": 20010.0,
            }
        ],
    )
    assert shown["gpus"] == [card_as_poked(fake_nvml, 0), expected]
    assert list(shown["gpus"][0]) == list(expected)
    assert (shown["simulated"], shown["driver_version"], shown["nvml_version"]) == (
        False,
        "580.65.06",
        "13.580.65.06",
    )
    read_at = datetime.strptime(shown["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - read_at) < timedelta(minutes=1)
    assert set(shown["host"]) == {
        "cpu_pct",
        "cpu_power_w",
        "memory_used_mib",
        "memory_total_mib",
        "missing",
    }
    assert set(shown["host"]["missing"]) <= {"cpu_power_w"}


def test_a_fanless_card_and_one_whose_fans_are_unknown(fake_nvml: FakeRig) -> None:
    fake_nvml.card(0).fan_count = 0
    fake_nvml.card(1).fan_count = -1
    first, second = read(fake_nvml)["gpus"]
    assert first == card_as_poked(fake_nvml, 0, fans=[])
    assert second == card_as_poked(fake_nvml, 1, fans=None, missing={"fans": "not_supported"})


def test_a_card_without_a_bridge(fake_nvml: FakeRig) -> None:
    fake_nvml.card(0).link_count = -1
    shown = read(fake_nvml)["gpus"][0]
    assert shown == card_as_poked(fake_nvml, 0, nvlink=None, missing={"nvlink": "not_supported"})


def test_eight_cards(tmp_path: Path) -> None:
    rig = FakeRig.eight(tmp_path / "eight")
    cards = read(rig)["gpus"]
    assert [card["uuid"] for card in cards] == [rig.uuid(index) for index in range(8)]
    assert [card["temperature_c"] for card in cards] == [40.0 + index for index in range(8)]
    assert [card["power_draw_w"] for card in cards] == [100.0 + index for index in range(8)]
    assert len({card["pci_bus_id"] for card in cards}) == 8


def test_a_driver_that_sees_no_card(tmp_path: Path) -> None:
    rig = FakeRig.empty(tmp_path / "empty")
    shown = read(rig)
    assert (shown["gpus"], shown["driver_version"]) == ([], "580.65.06")
    assert "No GPU to show." in run(rig.env()).stdout


@pytest.mark.parametrize("index", [0, 1])
def test_a_lost_card_does_not_stop_the_other(index: int, fake_nvml: FakeRig) -> None:
    fake_nvml.lose(index, handle_given=True)
    cards = read(fake_nvml)["gpus"]
    assert cards[1 - index] == card_as_poked(fake_nvml, 1 - index)
    nothing = dict.fromkeys(VOLATILE)
    assert cards[index] == card_as_poked(
        fake_nvml, index, missing=dict.fromkeys(VOLATILE, "gpu_lost"), **nothing
    )


def test_a_card_lost_before_the_start_keeps_a_place_without_a_name(fake_nvml: FakeRig) -> None:
    fake_nvml.lose(1)
    first, second = read(fake_nvml)["gpus"]
    nvlink = {"links": 4, "active": 4, "version": "3.1", "peers": ["00000000:21:00.0"]}
    assert first == card_as_poked(fake_nvml, 0, nvlink=nvlink)
    assert (second["index"], second["uuid"], second["name"]) == (1, None, None)
    assert set(second["missing"].values()) == {"gpu_lost"}


def test_a_card_is_lost_and_comes_back_while_it_is_watched(fake_nvml: FakeRig) -> None:
    with watching(fake_nvml, "--json", "--watch", "0.1") as process:
        assert process.stdout is not None
        wait_for(process.stdout, lambda shown: shown["gpus"] is not None)
        fake_nvml.lose(1)
        lost = wait_for(process.stdout, lambda shown: shown["gpus"][1]["missing"] != {})
        assert lost["gpus"][0] == card_as_poked(fake_nvml, 0)
        nothing = dict.fromkeys(VOLATILE)
        assert lost["gpus"][1] == card_as_poked(
            fake_nvml, 1, missing=dict.fromkeys(VOLATILE, "gpu_lost"), **nothing
        )
        fake_nvml.bring_back(1)
        fake_nvml.card(1).temperature_c = 47
        back = wait_for(process.stdout, lambda shown: shown["gpus"][1]["missing"] == {})
        assert back["gpus"][1] == card_as_poked(fake_nvml, 1, temperature_c=47.0)


def test_an_old_driver_lacks_readings_and_says_which(tmp_path: Path) -> None:
    rig = FakeRig.two_3090s(tmp_path / "old", lacks=OLD_DRIVER_LACKS)
    card = read(rig)["gpus"][0]
    fan = {
        "duty_pct": 30.0,
        "rpm": None,
        "policy": None,
        "min_duty_pct": None,
        "max_duty_pct": None,
        "missing": dict.fromkeys(
            ("rpm", "policy", "min_duty_pct", "max_duty_pct"), "not_supported"
        ),
    }
    fans = [{"fan": 0, **fan}, {"fan": 1, **fan}]
    assert card == card_as_poked(rig, 0, fans=fans, memory_used_mib=710.0)


def test_a_reading_one_may_not_have_says_so(fake_nvml: FakeRig) -> None:
    fake_nvml.fail("nvmlDeviceGetPowerUsage", NO_PERMISSION, card=0)
    fake_nvml.fail("nvmlDeviceGetPcieThroughput", NO_PERMISSION, card=0)
    first, second = read(fake_nvml)["gpus"]
    assert (first["power_draw_w"], first["missing"]) == (None, {"power_draw_w": "no_permission"})
    assert first["pcie"]["missing"] == dict.fromkeys(("tx_mib_s", "rx_mib_s"), "no_permission")
    assert second == card_as_poked(fake_nvml, 1)


def test_a_slow_card_is_waited_for(fake_nvml: FakeRig) -> None:
    fake_nvml.card(1).slow_ms = 10
    cards = read(fake_nvml)["gpus"]
    assert cards == [card_as_poked(fake_nvml, 0), card_as_poked(fake_nvml, 1)]


@pytest.mark.parametrize(
    ("error", "word"), [(VERSION_MISMATCH, "Reboot"), (DRIVER_NOT_LOADED, "modprobe nvidia")]
)
def test_a_driver_that_does_not_start_says_what_to_do(
    error: int, word: str, fake_nvml: FakeRig
) -> None:
    fake_nvml.state.init_error = error
    done = run(fake_nvml.env(), "--json")
    shown = json.loads(done.stdout)
    assert (shown["gpus"], shown["missing"]["gpus"]) == (None, "read_failed")
    assert shown["host"]["memory_total_mib"] > 0
    assert done.returncode == 1
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def no_driver(folder: Path) -> dict[str, str]:
    """Return an environment in which even a machine with a driver has none."""
    (folder / "libnvidia-ml.so.1").write_bytes(b"")
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def test_no_driver_at_all_still_shows_the_host(tmp_path: Path) -> None:
    done = run(no_driver(tmp_path), "--json")
    shown = json.loads(done.stdout)
    assert shown["gpus"] is None
    assert shown["missing"] == dict.fromkeys(
        ("driver_version", "nvml_version", "gpus"), "not_supported"
    )
    assert shown["host"]["memory_total_mib"] > 0
    assert done.returncode == 1
    assert "libnvidia-ml.so.1" in done.stderr
    assert "--demo" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_driver_in_words(tmp_path: Path) -> None:
    done = run(no_driver(tmp_path))
    assert "No GPU can be read." in done.stdout
    assert "Host" in done.stdout
    assert done.returncode == 1


def test_a_driver_that_starts_while_it_is_watched_is_found(fake_nvml: FakeRig) -> None:
    fake_nvml.state.init_error = DRIVER_NOT_LOADED
    with watching(fake_nvml, "--json", "--watch", "0.1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        wait_for(process.stdout, lambda shown: shown["gpus"] is None)
        assert "modprobe" in process.stderr.readline()
        fake_nvml.state.init_error = 0
        shown = wait_for(process.stdout, lambda shown: shown["gpus"] is not None)
        assert len(shown["gpus"]) == 2


def test_the_demo_needs_no_driver_and_says_it_is_simulated(tmp_path: Path) -> None:
    done = run(no_driver(tmp_path), "--demo", "--json")
    shown = json.loads(done.stdout)
    assert (done.returncode, done.stderr, shown["simulated"]) == (0, "", True)
    assert [card["name"] for card in shown["gpus"]] == ["NVIDIA GeForce RTX 3090"] * 2
    assert set(shown["gpus"][0]) == VOLATILE | {"index", "uuid", "name", "pci_bus_id", "missing"}
    first, *_, host = run(no_driver(tmp_path), "--demo").stdout.splitlines()
    assert first.startswith("Simulated rig: nothing of its cards is measured; the host is")
    assert host.startswith("Host")  # Which is measured all the same.


def test_the_demo_may_be_asked_for_before_the_command(tmp_path: Path) -> None:
    words = [*COMMAND[:-1], "--demo", COMMAND[-1], "--json"]
    assert COMMAND[-1] == "gpus"
    done = subprocess.run(
        words, cwd=TOP, env=no_driver(tmp_path), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["simulated"] is True


def test_the_table_says_what_is_missing_in_words(fake_nvml: FakeRig) -> None:
    fake_nvml.card(0).fan_count = -1
    fake_nvml.card(1).temperature_c = 71
    fake_nvml.lose(0, handle_given=True)
    fake_nvml.fail("nvmlDeviceGetPowerUsage", NO_PERMISSION, card=1)
    done = run(fake_nvml.env())
    heading, first, second, host = done.stdout.splitlines()
    assert first.count("gpu lost") == 1
    assert "RTX 3090" in first
    assert heading.index("Temp") == first.index("gpu lost")
    assert "71 °C" in second
    assert "no permission" in second
    assert "310/24576 MiB" in second
    assert heading.index("Temp") == second.index("71 °C")
    assert host.startswith("Host")


def test_a_card_lost_before_the_start_is_said_to_be_lost_once(fake_nvml: FakeRig) -> None:
    fake_nvml.lose(1)
    lost = run(fake_nvml.env()).stdout.splitlines()[2]
    assert lost.split()[:4] == ["1", "-", "gpu", "lost"]
    assert lost.count("gpu lost") == 1


def test_count_prints_as_many_lines(fake_nvml: FakeRig) -> None:
    done = run(fake_nvml.env(), "--json", "--watch", "0.1", "--count", "3")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (len(lines), done.returncode) == (3, 0)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_ends_cleanly_when_told(end: signal.Signals, fake_nvml: FakeRig) -> None:
    with watching(fake_nvml, "--json", "--watch", "0.1") as process:
        assert process.stdout is not None
        wait_for(process.stdout, lambda _shown: True)
        process.send_signal(end)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("words", [("--json",), ()])
def test_a_watch_ends_quietly_when_nobody_reads(words: tuple[str, ...], fake_nvml: FakeRig) -> None:
    with watching(fake_nvml, *words, "--watch", "0.1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().splitlines()
        assert [line for line in told if "energy counters" not in line] == []
        assert process.wait(10) == 0


def test_power_that_could_be_had_is_said_how_once_and_never_beside_json(tmp_path: Path) -> None:
    (tmp_path / "powercap").mkdir()
    (tmp_path / "cpuinfo").write_text("vendor_id : AuthenticAMD")
    script = (
        "import sys; from pathlib import Path; from rigpanel.cli import main; "
        "from rigpanel.rig import host; folder = Path(sys.argv[1]); "
        "host.POWERCAP, host.CPUINFO = folder / 'powercap', folder / 'cpuinfo'; "
        "sys.exit(main(['gpus', '--demo', *sys.argv[2:]]))"
    )

    def on_bare_metal(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, str(tmp_path), *words]
        return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)

    done = on_bare_metal("--watch", "0.1", "--count", "2")
    assert done.stdout.count("CPU power not supported") == 2
    (line,) = done.stderr.splitlines()
    assert "`sudo modprobe intel_rapl_msr`" in line
    assert on_bare_metal("--json").stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--watch", "0"),
        ("--watch", "-1"),
        ("--watch", "nan"),
        ("--watch", "inf"),
        ("--watch", "soon"),
        ("--count", "0"),
        ("--count", "-2"),
        ("--count", "2.5"),
    ],
)
def test_what_cannot_be_meant_is_bad_usage(words: tuple[str, str], fake_nvml: FakeRig) -> None:
    done = run(fake_nvml.env(), "--json", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert words[0] in done.stderr
    assert "Traceback" not in done.stderr
