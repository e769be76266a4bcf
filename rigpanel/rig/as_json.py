# SPDX-License-Identifier: MIT
"""Readings as JSON objects: what is missing becomes null, and a map beside it says why."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample, Missing, RigSnapshot


def snapshot_as_json(snapshot: RigSnapshot) -> dict[str, Any]:
    """Return the object that `rigpanel gpus --json` prints."""
    shown = {
        "simulated": snapshot.simulated,
        "time": datetime.fromtimestamp(snapshot.time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "driver_version": snapshot.driver_version,
        "nvml_version": snapshot.nvml_version,
        "gpus": snapshot.gpus
        if isinstance(snapshot.gpus, Missing)
        else [_gpu(gpu) for gpu in snapshot.gpus],
        "host": with_reasons(_values(snapshot.host)),
    }
    return with_missing(shown)


def with_missing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with nulls for missing readings, and `missing` where there are any."""
    out = with_reasons(values)
    if not out["missing"]:
        del out["missing"]
    return out


def _gpu(gpu: GpuSample) -> dict[str, Any]:
    values = _values(gpu)
    if gpu.uuid.startswith(UNKNOWN_UUID):
        values["uuid"] = gpu.temperature_c
    return with_reasons(values)


def with_reasons(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with nulls for missing readings, and always `missing` beside them."""
    out: dict[str, Any] = {}
    why: dict[str, str] = {}
    for name, read in values.items():
        unusable = isinstance(read, float) and not math.isfinite(read)
        value = Missing.READ_FAILED if unusable else read
        out[name] = None if isinstance(value, Missing) else value
        if isinstance(value, Missing):
            why[name] = value.value
    return {**out, "missing": why}


def _values(sample: Any) -> dict[str, Any]:
    return {field.name: _nested(getattr(sample, field.name)) for field in fields(sample)}


def _nested(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_nested(item) for item in value]
    if is_dataclass(value):
        return with_missing(_values(value))
    return value
