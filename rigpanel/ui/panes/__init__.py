# SPDX-License-Identifier: MIT
"""The panes of the window: what a person loads, says, watches and sets."""
