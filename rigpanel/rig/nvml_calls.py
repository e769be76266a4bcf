# SPDX-License-Identifier: MIT
"""How an NVML call fails: each error becomes the reason a reading is missing."""

import ctypes
from collections.abc import Callable
from typing import Any

import pynvml

from rigpanel.rig.readings import Missing, Reading

_NOT_SUPPORTED = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    pynvml.NVML_ERROR_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
}
_LOST = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED}


def reason(error: pynvml.NVMLError) -> Missing:
    """Return why a call that raised `error` brought no reading."""
    code = getattr(error, "value", None)
    if isinstance(error, pynvml.NVMLLibraryMismatchError) or code in _NOT_SUPPORTED:
        return Missing.NOT_SUPPORTED
    if code == pynvml.NVML_ERROR_NO_PERMISSION:
        return Missing.NO_PERMISSION
    if code in _LOST:
        return Missing.GPU_LOST
    return Missing.READ_FAILED


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call NVML; what it returns, or the reason why not."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        return reason(error)
    except UnicodeDecodeError:
        return Missing.READ_FAILED


def call_struct(name: str, *arguments: Any) -> Missing | None:
    """Call the C function `name` itself; None when it succeeded, else the reason.

    WORKAROUND: for calls whose binding drops an argument or shares a default one between threads
    (nvmlDeviceGetFanSpeedRPM, nvmlDeviceGetMinMaxFanSpeed, nvmlDeviceGetFanControlPolicy_v2 in
    nvidia-ml-py 13).
    """
    try:
        status = pynvml._nvmlGetFunctionPointer(name)(*arguments)  # noqa: SLF001
    except pynvml.NVMLError as error:
        return reason(error)
    if status != pynvml.NVML_SUCCESS:
        return reason(pynvml.NVMLError(status))
    return None


def text(value: Reading[str | bytes]) -> Reading[str]:
    """Return a string from the driver, whatever bytes are in it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def value_of(cell: ctypes.c_uint, failed: Missing | None) -> Reading[int]:
    """Return what a call left in `cell`, or why it failed."""
    return int(cell.value) if failed is None else failed


def sentence(error: pynvml.NVMLError) -> str:
    """Say what is wrong with the driver as a whole, and what to do."""
    code = getattr(error, "value", None)
    if code == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return (
            "No NVIDIA driver: libnvidia-ml.so.1 was not found. Install the driver of your "
            "distribution."
        )
    if code == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return (
            "The NVIDIA driver was upgraded and its library no longer matches the part in the "
            "kernel. Reboot, or reload the nvidia modules."
        )
    if code == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return (
            "The NVIDIA driver is installed but not loaded. Run `sudo modprobe nvidia`, or reboot."
        )
    if code == pynvml.NVML_ERROR_NO_PERMISSION:
        return (
            "The NVIDIA driver refuses to be read by this user. See who may open /dev/nvidiactl "
            "and /dev/nvidia0."
        )
    return (
        f"The NVIDIA driver does not answer ({error}). `nvidia-smi` and `dmesg | grep NVRM` say "
        "more; it is tried again by itself."
    )
