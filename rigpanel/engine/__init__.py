# SPDX-License-Identifier: MIT
"""The engine: llama-cpp-python on a worker thread, in a process of its own or in this one."""
