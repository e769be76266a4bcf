# SPDX-License-Identifier: MIT
"""The load pane: a file, how it is laid over the devices, and what the load took."""
