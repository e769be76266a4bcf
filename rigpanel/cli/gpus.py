# SPDX-License-Identifier: MIT
"""`rigpanel gpus`: one snapshot of every GPU and the host, or one every so often."""

import argparse
import json
import math
import os
import signal
import sys
import time
from types import FrameType

from rigpanel.rig import open_source
from rigpanel.rig.as_json import snapshot_as_json
from rigpanel.rig.host import cpu_power_remedy
from rigpanel.rig.readings import GpuSample, Missing, Reading, RigSnapshot
from rigpanel.rig.source import RigSource

SHORTEST_WATCH_S = 0.1
HEADINGS: tuple[str, ...] = (
    "GPU",
    "Name",
    "Temp",
    "Power",
    "Limit",
    "Fans",
    "Memory",
    "Util",
    "Held back by",
)
NOTHING = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--demo", action="store_true", help="read the simulated rig")
    parser.add_argument(
        "--watch", type=_seconds, metavar="S", help="one snapshot every S seconds, a line each"
    )
    parser.add_argument("--count", type=_count, metavar="N", help="stop after N snapshots")


def run(options: argparse.Namespace) -> int:
    """Print the snapshots; without a usable driver the host is still shown, and status is 1."""
    signal.signal(signal.SIGTERM, _end)
    source = open_source(demo=options.demo)
    try:
        return _show(source, options)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Whoever read has enough; what is still buffered must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        source.close()


def _show(source: RigSource, options: argparse.Namespace) -> int:
    problem: str | None = None
    advised = options.json
    left = options.count or (None if options.watch else 1)
    many = options.watch is not None or left != 1
    next_at = time.monotonic()
    while True:
        snapshot = source.read()
        _print(snapshot, as_json=options.json, many=many)
        if snapshot.driver_problem not in (None, problem):
            offer = " `rigpanel gpus --demo` shows a simulated rig." if not snapshot.cards else ""
            print(f"rigpanel gpus: {snapshot.driver_problem}{offer}", file=sys.stderr)
        problem = snapshot.driver_problem
        if not advised and (remedy := cpu_power_remedy(snapshot.host.cpu_power_w)):
            print(f"rigpanel gpus: {remedy}", file=sys.stderr)
        advised = True
        left = None if left is None else left - 1
        if left == 0:
            return 0 if problem is None else 1
        next_at = max(next_at + (options.watch or 1.0), time.monotonic())
        time.sleep(max(0.0, next_at - time.monotonic()))


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SHORTEST_WATCH_S <= value <= 86400:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be a number of seconds from {SHORTEST_WATCH_S:g} to 86400"
        )
    return value


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 1")
    return int(text)


def _print(snapshot: RigSnapshot, *, as_json: bool, many: bool) -> None:
    if as_json:
        indent = None if many else 2
        text = json.dumps(snapshot_as_json(snapshot), allow_nan=False, indent=indent)
    else:
        text = as_table(snapshot)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def as_table(snapshot: RigSnapshot) -> str:
    """Return the snapshot as an aligned table for people."""
    rows = [HEADINGS, *(_row(gpu) for gpu in snapshot.cards)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    if not snapshot.cards:
        lines = ["No GPU to show." if snapshot.driver_problem is None else "No GPU can be read."]
    if snapshot.simulated:
        lines.insert(0, "Simulated rig: nothing of its cards is measured; the host is.")
    host = snapshot.host
    memory = _pair(host.memory_used_mib, host.memory_total_mib)
    lines.append(
        f"Host  CPU {_word(host.cpu_pct, '{:.0f} %')}"
        f"  CPU power {_word(host.cpu_power_w, '{:.0f} W')}  Memory {memory}"
    )
    return "\n".join(line.rstrip() for line in lines)


def _word(value: Reading[float] | Reading[int], form: str) -> str:
    return value.value.replace("_", " ") if isinstance(value, Missing) else form.format(value)


def _pair(used: Reading[float], total: Reading[float]) -> str:
    if isinstance(used, Missing) or isinstance(total, Missing):
        return _word(used if isinstance(used, Missing) else total, "{}")
    return f"{used:.0f}/{total:.0f} MiB"


def _row(gpu: GpuSample) -> tuple[str, ...]:
    if gpu.lost:  # Once said is enough: it holds for everything of the card.
        name = NOTHING if isinstance(gpu.name, Missing) else gpu.name
        lost = _word(gpu.temperature_c, "{}")
        return (str(gpu.index), name, lost, *[NOTHING] * (len(HEADINGS) - 3))
    if isinstance(gpu.fans, Missing):
        fans = _word(gpu.fans, "{}")
    else:
        fans = " ".join(_word(fan.duty_pct, "{:.0f} %") for fan in gpu.fans) or "none"
    throttle = gpu.throttle_reasons
    held = (
        _word(throttle, "{}") if isinstance(throttle, Missing) else ", ".join(throttle) or NOTHING
    )
    return (
        str(gpu.index),
        gpu.name.value.replace("_", " ") if isinstance(gpu.name, Missing) else gpu.name,
        _word(gpu.temperature_c, "{:.0f} °C"),
        _word(gpu.power_draw_w, "{:.1f} W"),
        _word(gpu.power_limit_w, "{:.0f} W"),
        fans,
        _pair(gpu.memory_used_mib, gpu.memory_total_mib),
        _word(gpu.utilization_pct, "{:.0f} %"),
        held.replace("_", " "),
    )
