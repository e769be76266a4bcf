# SPDX-License-Identifier: MIT
"""Watching the rig: the sampler thread, recent history and alerts."""
