# SPDX-License-Identifier: MIT
"""Measurements of the running panel; each module prints its figures and fails above its aim."""
