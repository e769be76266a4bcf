# SPDX-License-Identifier: MIT
"""Compiles the fake driver library, once for each source and set of lacking functions."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.fakes.nvml.layout import as_c

SOURCE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"
FLAGS = ("-std=gnu11", "-O1", "-g", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror")

OLD_DRIVER_LACKS = (
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetMarginTemperature",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetFanSpeedRPM",
    "nvmlDeviceGetFanControlPolicy_v2",
    "nvmlDeviceGetMinMaxFanSpeed",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
)
"""What a driver of the 470 series has not got."""


def library(lacks: Iterable[str] = ()) -> Path:
    """Return the compiled library, without the functions named in `lacks`."""
    header, without = as_c(), sorted(set(lacks))
    marks = [SOURCE.read_bytes(), header.encode(), *(name.encode() for name in without)]
    digest = hashlib.sha256(b"\0".join((*marks, " ".join(FLAGS).encode()))).hexdigest()[:20]
    folder = Path(tempfile.gettempdir()) / f"rigpanel-fake-nvml-{os.getuid()}" / digest
    built = folder / NAME
    if built.exists():
        return built
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        (Path(made) / "layout.h").write_text(header)
        hidden = "".join(f"{name};" for name in without)
        scope = f"local: {hidden}" if hidden else ""
        (Path(made) / "scope").write_text(f"{{ global: *; {scope} }};\n")
        out = Path(made) / NAME
        command = ["gcc", *FLAGS, f"-I{made}", f"-Wl,-soname,{NAME}"]
        command += [f"-Wl,--version-script={made}/scope", "-o", str(out), str(SOURCE)]
        subprocess.run(command, check=True)
        out.replace(built)
    return built
