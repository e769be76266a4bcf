# SPDX-License-Identifier: MIT
"""Failures a person can act on."""


class RigpanelError(Exception):
    """An expected failure; its text says what failed, on which card or file, and what to do."""


class UsageError(RigpanelError):
    """A command line that asks for something that cannot be: the command exits with status 2."""
