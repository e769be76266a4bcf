# SPDX-License-Identifier: MIT
"""Qt only: the window, its panes and charts, the tray, and bridges from threads to signals."""
