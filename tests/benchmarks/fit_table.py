# SPDX-License-Identifier: MIT
"""Formula and dry run against what llama.cpp really allocates, for many architectures.

Each model is loaded on the processor, and split by layers and by tensors over two devices that two
other processes lend over RPC; each in several contexts, batch sizes and cache types, and once with
half of its layers left on the host. What the two really allocated is what they say themselves.

Run: python -m tests.benchmarks.fit_table [--arch NAME…] [--quick]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rigpanel.engine.dry_run import dry_run
from rigpanel.engine.messages import DeviceUse, EngineError
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.fit.estimate import Estimator, FitError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.measured import Measured
from rigpanel.fit.result import MIB, Device, Fit, Use
from rigpanel.library.gguf_header import read_header
from tests.engine.lenders import Lender, lending
from tests.fit.made_architectures import ARCHITECTURES, Sizes, write

AIM_MEDIAN_PCT, AIM_WORST_PCT, AIM_COMPUTE_PCT = 1.0, 3.0, 10.0
SMALL_MIB = 1.0
"""A difference below this is none: logs tell hundredths, and small buffers are rounded."""


HALF_AT = 4096
"""Context in which layers are left on the host too."""
WIDE = Sizes(n_embd=256, n_head=8, head=128, n_ff=768)
"""Heads that together are wider than the model."""
MODELS: dict[str, tuple[str, Sizes | None]] = {
    **{name: (name, None) for name in ARCHITECTURES},
    "qwen3-wide": ("qwen3", WIDE),
    "gemma3-wide": ("gemma3", WIDE),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One place of one load: what was really allocated, and what was said before."""

    name: str
    settings: LoadSettings
    place: str
    kept_mib: float
    """Weights and KV cache, really."""
    compute_mib: float
    formula: Use
    dry_kept_mib: float | None
    dry_compute_mib: float | None


def cases(model: Path, servers: tuple[str, ...], *, quick: bool) -> Iterator[LoadSettings]:
    """Yield the settings to load a model with."""
    contexts = [(4096, 512, "f16", "on")]
    if not quick:
        contexts += [
            (512, 128, "f16", "on"),
            (4096, 512, "q8_0", "on"),
            (8192, 512, "f16", "on"),
            (4096, 16, "f16", "off"),
            (2048, 64, "q4_0", "on"),
        ]
    for n_ctx, n_ubatch, kind, flash in contexts:
        common = LoadSettings(
            model=model,
            n_ctx=n_ctx,
            n_ubatch=n_ubatch,
            type_k=kind,
            type_v=kind,
            flash_attn=flash,
            use_mmap=False,
        )
        yield common
        by_layers = _split(common, SplitMode.LAYER, servers)
        yield by_layers
        if flash == "on":
            yield _split(common, SplitMode.TENSOR, servers)
        if n_ctx == HALF_AT:
            yield replace(by_layers, n_gpu_layers=3)


def _split(settings: LoadSettings, mode: SplitMode, servers: tuple[str, ...]) -> LoadSettings:
    return replace(settings, split_mode=mode, tensor_split=(1.0, 1.0), rpc_servers=servers)


async def measured_rows(
    name: str, settings: LoadSettings, estimator: Estimator, lenders: Sequence[Lender]
) -> list[Row]:
    """Load once and compare every place."""
    lent = tuple(Device(f"RPC{i}", None, 1e6, lent=True) for i in range(len(settings.rpc_servers)))
    try:
        fit = estimator.fit(settings, lent)
    except FitError:
        return []
    engine = ProcessEngine()
    traced = [trace_length(lender) for lender in lenders]
    try:
        loaded = await engine.load(settings, lambda _fraction: None)
        uses = list(loaded.devices)
        if settings.rpc_servers and settings.split_mode is SplitMode.TENSOR:
            uses = [_allocated(use, lenders, traced) for use in uses]
    except EngineError as error:
        print(f"{name}: not loaded: {error}", file=sys.stderr)
        return []
    finally:
        await engine.stop()
    dry = None
    if settings.split_mode is not SplitMode.TENSOR or not settings.rpc_servers:
        dry = dry_run(settings)
    rows = []
    for use in uses:
        formula = _formula(fit, use.device)
        dry_use = _dry(dry, use.device)
        rows.append(
            Row(
                name,
                settings,
                use.device,
                use.weights_mib + use.kv_mib,
                use.compute_mib,
                formula,
                None if dry_use is None else dry_use[0],
                None if dry_use is None else dry_use[1],
            )
        )
    return rows


def trace_length(lender: Lender) -> int:
    """Return how much a lender has told so far."""
    assert lender.trace is not None
    return len(lender.trace.read_text(errors="replace"))


def _allocated(use: DeviceUse, lenders: Sequence[Lender], traced: Sequence[int]) -> DeviceUse:
    """Return what a device that has a part by tensors says that it gave out.

    The log tells the largest part only; of compute buffers each device has one of the same size.
    """
    if not use.device.startswith("RPC"):
        return use
    index = int(use.device.removeprefix("RPC"))
    sizes = sorted(size / MIB for size in lenders[index].allocated(traced[index]))
    compute = min(sizes, key=lambda size: abs(size - use.compute_mib))
    return replace(use, weights_mib=sum(sizes) - compute, kv_mib=0.0, compute_mib=compute)


def _formula(fit: Fit, device: str) -> Use:
    return next((use.use for use in fit.devices if use.device.name == device), fit.host)


def _dry(dry: Measured | None, device: str) -> tuple[float, float] | None:
    if dry is None:
        return None
    use = next((use for use in dry.devices if use.name == device), dry.host)
    return (use.weights + use.kv) / MIB, use.compute / MIB


def off_pct(said: float, really: float) -> float:
    """Return how far a figure is off; differences too small to matter are none."""
    return 0.0 if abs(said - really) < SMALL_MIB / 20 else 100 * (said / max(really, 0.01) - 1)


def show(rows: list[Row]) -> None:
    """Print one line a place."""
    said = f"{'formula':>8} {'dry run':>8}"
    far = f"{'off MiB':>8}"
    print(
        f"{'model':14} {'split':7} {'ctx':>5} {'ub':>4} {'KV':5} {'place':6} "
        f"{'weights+KV':>10} {said} {'compute':>8} {said} {far}"
    )
    for row in rows:
        split = row.settings.split_mode.value if row.settings.rpc_servers else "CPU"
        if row.settings.n_gpu_layers >= 0:
            split = f"{row.settings.n_gpu_layers} of 7"
        formula_kept = row.formula.weights_mib + row.formula.kv_mib
        print(
            f"{row.name:14} {split:7} {row.settings.n_ctx:5} {row.settings.n_ubatch:4} "
            f"{row.settings.type_k:5} {row.place:6} {row.kept_mib:10.2f} "
            f"{_pct(formula_kept, row.kept_mib)} {_pct(row.dry_kept_mib, row.kept_mib)} "
            f"{row.compute_mib:8.2f} {_pct(row.formula.compute_mib, row.compute_mib)} "
            f"{_pct(row.dry_compute_mib, row.compute_mib)} "
            f"{row.formula.compute_mib - row.compute_mib:+8.2f}"
        )


def _pct(said: float | None, really: float) -> str:
    return f"{'-':>8}" if said is None else f"{off_pct(said, really):+7.2f}%"


def sum_up(rows: list[Row]) -> bool:
    """Print how far formula and dry run were off, and return whether the aims were met."""
    kept = [abs(off_pct(r.formula.weights_mib + r.formula.kv_mib, r.kept_mib)) for r in rows]
    compute = [abs(off_pct(r.formula.compute_mib, r.compute_mib)) for r in rows]
    dry = [abs(off_pct(r.dry_kept_mib, r.kept_mib)) for r in rows if r.dry_kept_mib is not None]
    dry += [
        abs(off_pct(r.dry_compute_mib, r.compute_mib))
        for r in rows
        if r.dry_compute_mib is not None
    ]
    names = {row.name for row in rows}
    print(f"{len(rows)} places of {len(names)} models, in per cent off:")
    for what, values in (
        ("formula, weights+KV", kept),
        ("formula, compute", compute),
        ("dry run, all", dry),
    ):
        print(f"  {what:20} median {statistics.median(values):.2f}, worst {max(values):.2f}")
    return (
        statistics.median(kept) <= AIM_MEDIAN_PCT
        and max(kept) <= AIM_WORST_PCT
        and max(compute) <= AIM_COMPUTE_PCT
        and max(dry) <= AIM_MEDIAN_PCT
    )


def run(names: list[str], folder: Path, *, quick: bool) -> bool:
    """Measure every architecture, each with lenders of its own, and print the table."""
    rows: list[Row] = []
    for name in names:
        path = write(folder / f"{name}.gguf", *MODELS[name])
        estimator = Estimator(read_header(path))
        with lending(2, folder) as lenders:
            servers = tuple(lender.address for lender in lenders)
            for settings in cases(path, servers, quick=quick):
                rows += asyncio.run(measured_rows(name, settings, estimator, lenders))
        path.unlink()
        print(f"{name} is measured", file=sys.stderr)
    show(rows)
    return sum_up(rows)


def main() -> int:
    """Print the table; the status is 1 where an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", nargs="*", choices=sorted(MODELS), default=[])
    parser.add_argument("--quick", action="store_true", help="one context only")
    options = parser.parse_args()
    names = options.arch or sorted(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(names, Path(folder), quick=options.quick) else 1


if __name__ == "__main__":
    sys.exit(main())
