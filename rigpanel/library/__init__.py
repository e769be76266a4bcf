# SPDX-License-Identifier: MIT
"""The library: model files and what their headers say."""
