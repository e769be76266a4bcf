# SPDX-License-Identifier: MIT
"""The environment variables llama.cpp and CUDA look at, as every process of ours wants them."""

from collections.abc import MutableMapping


def prepare_environment(environment: MutableMapping[str, str]) -> None:
    """Set them; before llama.cpp is imported."""
    # When llama.cpp aborts it may start gdb to print where it was, and wait for it.
    environment["GGML_NO_BACKTRACE"] = "1"
    # The cards in their order on the bus, in which NVML lists them and shares are given.
    environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
