# SPDX-License-Identifier: MIT
"""Hands every fan back to its card, through the C library alone, whatever else is broken."""

import ctypes
import os
import sys
import time
from pathlib import Path

LIBRARY = "libnvidia-ml.so.1"
KERNEL_MODULE = "/proc/driver/nvidia"
"""There while the driver is loaded; without it nobody can have set a fan."""
AUTOMATIC = 0
FULL_PCT = 100
TRIES, WAIT_S = 3, 0.2
MOST_FANS = 16
"""More than any card has, whatever a driver counts."""
SUCCESS, NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND = 0, 3, 4, 13
NOT_OFFERED = {NOT_SUPPORTED, FUNCTION_NOT_FOUND}


class _Nvml:
    """The few calls needed; one that the library lacks answers as such."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)

    def __call__(self, name: str, *arguments: object) -> int:
        """Call a function, or the one of its first version where the library is that old."""
        for known in (name, name.removesuffix("_v2")):
            function = getattr(self._library, known, None)
            if function is not None:
                return int(function(*arguments))
        return FUNCTION_NOT_FOUND


def main() -> int:
    """Hand back every fan of every card, each by itself; 0 when all are automatic."""
    if os.geteuid() != 0:
        _say("only root may hand fans back: run this as root.")
        return 1
    try:
        nvml = _Nvml()
    except OSError as error:
        if not Path(KERNEL_MODULE).exists():
            _say("there is no NVIDIA driver, so there is no fan to hand back.")
            return 0
        _say(f"the NVIDIA driver's library cannot be used ({error}); the fans stay as they are.")
        return 1
    status = nvml("nvmlInit_v2")
    if status == FUNCTION_NOT_FOUND:
        status = nvml("nvmlInitWithFlags", ctypes.c_uint(0))
    if status != SUCCESS:
        _say(f"the NVIDIA driver does not start (error {status}); the fans stay as they are.")
        return 1
    count = ctypes.c_uint()
    status = nvml("nvmlDeviceGetCount_v2", ctypes.byref(count))
    if status != SUCCESS:
        _say(f"the NVIDIA driver does not list its cards (error {status}).")
        return 1
    failed = [problem for index in range(count.value) for problem in _card(nvml, index)]
    for problem in failed:
        _say(problem)
    if not failed:
        print(f"Every fan of {count.value} card(s) is under the card's own control.")
    nvml("nvmlShutdown")
    return 1 if failed else 0


def _card(nvml: _Nvml, index: int) -> list[str]:
    """Hand back one card's fans and return a sentence for each that stays."""
    card = ctypes.c_void_p()
    status = nvml("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(card))
    if status != SUCCESS:
        return [f"GPU {index} does not answer (error {status}); its fans stay as they are."]
    fans = ctypes.c_uint()
    status = nvml("nvmlDeviceGetNumFans", card, ctypes.byref(fans))
    if status in NOT_OFFERED:
        return []
    if status != SUCCESS:
        return [f"GPU {index} does not tell its fans (error {status}); they stay as they are."]
    problems = []
    for fan in range(min(fans.value, MOST_FANS)):
        status = _fan(nvml, card, ctypes.c_uint(fan))
        if status != SUCCESS:
            why = "run this as root" if status == NO_PERMISSION else f"error {status}"
            problems.append(f"fan {fan} of GPU {index} could not be handed back ({why}).")
    return problems


def _fan(nvml: _Nvml, card: ctypes.c_void_p, fan: ctypes.c_uint) -> int:
    """Hand one fan back and read it back; full speed where it stays in manual all the same."""
    status = read = SUCCESS
    for _ in range(TRIES):
        status = nvml("nvmlDeviceSetDefaultFanSpeed_v2", card, fan)
        if status != SUCCESS:
            status = nvml("nvmlDeviceSetFanControlPolicy", card, fan, ctypes.c_uint(AUTOMATIC))
        policy = ctypes.c_uint(AUTOMATIC)
        read = nvml("nvmlDeviceGetFanControlPolicy_v2", card, fan, ctypes.byref(policy))
        if read == SUCCESS and policy.value == AUTOMATIC:
            return SUCCESS
        if read != SUCCESS and status == SUCCESS:
            return SUCCESS
        if status == NO_PERMISSION or status in NOT_OFFERED:
            break
        time.sleep(WAIT_S)
    full = nvml("nvmlDeviceSetFanSpeed_v2", card, fan, ctypes.c_uint(FULL_PCT))
    if read != SUCCESS and {status, full} <= NOT_OFFERED:
        return SUCCESS  # nobody can have set it
    return status or -1


def _say(sentence: str) -> None:
    sys.stderr.write(f"rigpanel-fand --restore-auto: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
