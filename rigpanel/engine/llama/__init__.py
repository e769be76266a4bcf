# SPDX-License-Identifier: MIT
"""What knows llama-cpp-python: loading, the generation loop, sampling, devices."""
