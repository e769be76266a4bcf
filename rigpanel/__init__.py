# SPDX-License-Identifier: MIT
"""rigpanel: load, chat with and watch a large language model on a home rig of NVIDIA cards."""

__version__ = "0.1.0"
