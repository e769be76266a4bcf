# SPDX-License-Identifier: MIT
"""The fans pane: curves drawn by hand, tried, and kept by the fan helper."""
