# SPDX-License-Identifier: MIT
"""The chat pane: transcript, composer, conversations and options."""
