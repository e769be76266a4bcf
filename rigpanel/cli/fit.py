# SPDX-License-Identifier: MIT
"""`rigpanel fit`: where a model's memory goes, for each card and the host."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rigpanel.cli.inspect import header_values
from rigpanel.cli.values import whole
from rigpanel.engine.dry_run import dry_run
from rigpanel.engine.messages import EngineError
from rigpanel.errors import UsageError
from rigpanel.fit.command_line import cli_line, server_line
from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import PROCESSOR, LoadSettings, SplitMode
from rigpanel.fit.measured import with_measured
from rigpanel.fit.recommend import Recommendation, recommend
from rigpanel.fit.result import Device, DeviceUse, Fit, Use
from rigpanel.fit.rig_devices import asked_devices, devices_of
from rigpanel.library.ggml_types import KV_TYPES, QUANTIZED
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.library.words import count_words, size_words
from rigpanel.paths import config_dir
from rigpanel.rig import open_source
from rigpanel.rig.as_json import with_missing
from rigpanel.rig.readings import Missing
from rigpanel.settings import MARGIN_MIB, SettingsStore

DEFAULT_CTX = 4096
DEFAULT_BATCH = 512
LARGEST_CTX = 16_777_216
MOST_CARDS = 16
LARGEST_SHARE = 1e6
"""Much beyond it single precision, in which llama.cpp reckons, loses the smaller ones."""
DIGITS = 3
NOTHING_FITS = "No setting makes it fit; choose a smaller model or quantization."
NO_CARDS = "none"
"""What llama.cpp's programs are told for the processor alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a GGUF file")
    parser.add_argument("--ctx", metavar="N", type=whole(16, LARGEST_CTX), help="context, tokens")
    parser.add_argument(
        "--ubatch", metavar="N", type=whole(1, LARGEST_CTX), default=512, help="tokens at a time"
    )
    parser.add_argument(
        "--ngl", metavar="N", type=whole(-1), default=-1, help="layers on the cards; -1 is all"
    )
    parser.add_argument(
        "--split-mode", choices=[mode.value for mode in SplitMode], default=SplitMode.LAYER.value
    )
    parser.add_argument(
        "--tensor-split", metavar="A,B", type=_shares, default=(), help="share of each card"
    )
    parser.add_argument(
        "--device", choices=[NO_CARDS], help="leave the cards alone, for large batches too"
    )
    parser.add_argument("--type-k", choices=list(KV_TYPES), default="f16", metavar="T")
    parser.add_argument("--type-v", choices=list(KV_TYPES), default="f16", metavar="T")
    parser.add_argument("--flash-attn", choices=("on", "off", "auto"), default="auto")
    parser.add_argument(
        "--vram",
        metavar="MIB,MIB…",
        type=_vram,
        help="ask for a rig with so much free memory a card, in place of this one",
    )
    parser.add_argument("--demo", action="store_true", help="ask for the simulated rig")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print where everything goes and what would be better."""
    _check(options)
    header = read_header(options.model)
    estimator = Estimator(header)
    asked = LoadSettings(
        model=header.path,
        n_ctx=options.ctx or min(DEFAULT_CTX, header.n_ctx_train or DEFAULT_CTX),
        n_gpu_layers=options.ngl,
        split_mode=SplitMode(options.split_mode),
        tensor_split=options.tensor_split,
        main_gpu=_main_gpu(options),
        n_batch=max(DEFAULT_BATCH, options.ubatch),
        n_ubatch=options.ubatch,
        type_k=options.type_k,
        type_v=options.type_v,
        flash_attn=options.flash_attn,
        devices=(PROCESSOR,) if options.device == NO_CARDS else (),
    )
    devices, host_free_mib, why_missing = _rig(options)
    if len(options.tensor_split) > max(len(devices), 1):
        raise UsageError(
            f"--tensor-split names {len(options.tensor_split)} cards, and there are {len(devices)}"
        )
    fit = replace(estimator.fit(asked, devices), host_free_mib=host_free_mib)
    if options.vram is None and not options.demo:
        fit = _asked_of_llama(fit)
    better = recommend(header, asked, devices, host_free_mib, estimator)
    if options.json:
        if better is None:
            _say(f"{_verdict(fit)} {NOTHING_FITS}")
        shown = _as_json(header, fit, better, why_missing)
        if options.demo:
            shown = {"simulated": True, **shown}
        json.dump(shown, sys.stdout, allow_nan=False, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        if options.demo:
            print("Simulated rig: nothing here is measured.")
        print(as_table(header, fit, better))
    return 0


def _main_gpu(options: argparse.Namespace) -> int:
    """Return the card that split mode none uses: the one of the largest share, or the first."""
    shares = options.tensor_split
    alone = options.split_mode == SplitMode.NONE.value and shares
    return shares.index(max(shares)) if alone else 0


def _check(options: argparse.Namespace) -> None:
    if options.flash_attn == "off" and options.type_v in QUANTIZED:
        raise UsageError(f"--type-v {options.type_v} needs flash attention: --flash-attn on")
    if options.flash_attn == "off" and options.split_mode == SplitMode.TENSOR.value:
        raise UsageError("--split-mode tensor needs flash attention: --flash-attn on")


def _rig(options: argparse.Namespace) -> tuple[tuple[Device, ...], float | None, Missing]:
    """Return the cards, the host's memory if it is this machine's, and why a UUID is missing."""
    if options.vram is not None:
        return asked_devices(options.vram), None, Missing.NOT_SUPPORTED
    source = open_source(demo=options.demo)
    try:
        snapshot = source.read()
    finally:
        source.close()
    if snapshot.driver_problem is not None:
        _say(f"{snapshot.driver_problem} What follows is for the processor alone.")
    margin_mib = SettingsStore(config_dir() / "settings.toml").get(MARGIN_MIB)
    host = snapshot.host
    host_free_mib = None
    if not options.demo and not isinstance(host.memory_total_mib, Missing):
        used = 0.0 if isinstance(host.memory_used_mib, Missing) else host.memory_used_mib
        host_free_mib = host.memory_total_mib - used
    return devices_of(snapshot, margin_mib), host_free_mib, Missing.READ_FAILED


def _asked_of_llama(fit: Fit) -> Fit:
    """Return the fit with llama.cpp's own figures where it can give them, and say why not."""
    mode = fit.settings.split_mode
    if fit.devices and mode in {SplitMode.TENSOR, SplitMode.ROW}:
        _say(f"llama.cpp tells no card from another in split mode {mode.value}: a formula answers.")
        return fit
    try:
        measured = with_measured(fit, dry_run(fit.settings))
    except EngineError as error:
        _say(f"{error} A formula answers.")
        return fit
    if measured is None:
        _say(
            "llama.cpp as installed does not see these cards (is it built for CUDA?): a "
            "formula answers."
        )
        return fit
    return measured


def _as_json(
    header: GgufHeader, fit: Fit, better: Recommendation | None, why_missing: Missing
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "model": with_missing(header_values(header)),
        "settings": _settings(fit.settings),
        "devices": [_device(use, why_missing) for use in fit.devices],
        "host": _use(fit.host),
        "fits": Missing.READ_FAILED if fit.fits is None else fit.fits,
        "method": "dry_run" if fit.measured else "formula",
        "recommended": Missing.NOT_SUPPORTED
        if better is None
        else {"settings": _settings(better.settings), "why": list(better.why)},
        "command": server_line(fit.settings, header.n_layer),
    }
    return with_missing(shown)


def _settings(settings: LoadSettings) -> dict[str, Any]:
    alone = {"device": NO_CARDS} if settings.devices == (PROCESSOR,) else {}
    return alone | {
        "n_ctx": settings.n_ctx,
        "n_ubatch": settings.n_ubatch,
        "n_gpu_layers": settings.n_gpu_layers,
        "split_mode": settings.split_mode.value,
        "tensor_split": list(settings.tensor_split),
        "type_k": settings.type_k,
        "type_v": settings.type_v,
        "flash_attn": settings.flash_attn,
    }


def _use(use: Use) -> dict[str, Any]:
    weights, kv, compute = (
        round(part, DIGITS) for part in (use.weights_mib, use.kv_mib, use.compute_mib)
    )
    return {
        "layers": use.layers,
        "weights_mib": weights,
        "kv_mib": kv,
        "compute_mib": compute,
        "total_mib": round(weights + kv + compute, DIGITS),
    }


def _device(use: DeviceUse, why_missing: Missing) -> dict[str, Any]:
    device = use.device
    free = Missing.READ_FAILED if device.free_mib is None else round(device.usable_mib, DIGITS)
    return with_missing(
        {
            "device": device.name,
            "uuid": device.uuid or why_missing,
            **_use(use.use),
            "free_mib": free,
            "fits": Missing.READ_FAILED if use.fits is None else use.fits,
        }
    )


def as_table(header: GgufHeader, fit: Fit, better: Recommendation | None) -> str:
    """Return the fit as a table for people, with the advice under it."""
    rows: list[tuple[str, ...]] = [
        ("", "Layers", "Weights", "KV cache", "Compute", "Total", "Free", "")
    ]
    for use in fit.devices:
        free = "unknown" if use.device.free_mib is None else f"{use.device.usable_mib:.0f}"
        verdict = {True: "fits", False: "does not fit", None: ""}[use.fits]
        rows.append((use.device.name, *_cells(use.use), free, verdict))
    rows.append(("Host", *_cells(fit.host), "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{header.name} · {header.file_type} · {count_words(header.n_params)} parameters · "
        f"context {fit.settings.n_ctx} · MiB, by "
        + ("llama.cpp's dry run" if fit.measured else "formula"),
        *(
            "  ".join(
                cell.ljust(width) if column in {0, len(row) - 1} else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ),
        _verdict(fit),
    ]
    if better is None:
        lines.append(NOTHING_FITS)
    else:
        lines += ["Recommended: " + " ".join(better.why)]
        lines += [f"  {server_line(better.settings, header.n_layer)}"]
    lines += ["As asked:", f"  {server_line(fit.settings, header.n_layer)}"]
    lines += [f"  {cli_line(fit.settings, header.n_layer)}"]
    return "\n".join(lines)


def _verdict(fit: Fit) -> str:
    if fit.fits is None:
        return "Whether it fits is not known."
    short = [f"{name} lacks {size_words(mib)}" for name, mib in fit.lacking]
    return f"It does not fit: {', '.join(short)}." if short else "It fits."


def _cells(use: Use) -> tuple[str, ...]:
    layers = f"{use.layers} + output" if use.output else str(use.layers)
    parts = (use.weights_mib, use.kv_mib, use.compute_mib, use.total_mib)
    return (layers, *(f"{part:.1f}" for part in parts))


def _say(text: str) -> None:
    print(f"rigpanel fit: {text}", file=sys.stderr)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r}: must be numbers from 0, with commas between")
    return values


def _shares(text: str) -> Sequence[float]:
    values = _numbers(text)
    if max(values) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: one share must be above 0")
    if not all(value == 0 or 1 / LARGEST_SHARE <= value <= LARGEST_SHARE for value in values):
        raise argparse.ArgumentTypeError(
            f"{text!r}: a share must be 0, or from {1 / LARGEST_SHARE:g} to {LARGEST_SHARE:g}"
        )
    return values


def _vram(text: str) -> Sequence[float]:
    values = _numbers(text)
    if len(values) > MOST_CARDS:
        raise argparse.ArgumentTypeError(f"{text!r}: at most {MOST_CARDS} cards")
    return values
