# SPDX-License-Identifier: MIT
"""Live charts of the cards: drawn by timer from the history's rings, never by arriving data."""
