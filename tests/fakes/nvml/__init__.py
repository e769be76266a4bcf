# SPDX-License-Identifier: MIT
"""A fake NVIDIA driver: a C libnvidia-ml.so.1 whose cards live in a file that tests poke."""

from tests.fakes.nvml.library import OLD_DRIVER_LACKS, library
from tests.fakes.nvml.rig import FakeRig, Order

__all__ = ["OLD_DRIVER_LACKS", "FakeRig", "Order", "library"]
