# SPDX-License-Identifier: MIT
"""The rig: cards, their links and the host, as readings from a source."""
