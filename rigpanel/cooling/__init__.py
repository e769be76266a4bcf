# SPDX-License-Identifier: MIT
"""Fan curves and power limits: kept by a helper that leaves no card hot."""
