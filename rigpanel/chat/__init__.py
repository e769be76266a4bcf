# SPDX-License-Identifier: MIT
"""Chat: conversations as trees of messages, kept on disk while they stream."""
