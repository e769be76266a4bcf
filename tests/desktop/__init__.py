# SPDX-License-Identifier: MIT
"""Tests that run the panel in a real X session with a tray and notifications."""
