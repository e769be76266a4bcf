# SPDX-License-Identifier: MIT
"""Fit: how a model is laid out over the rig's devices."""
