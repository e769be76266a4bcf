# SPDX-License-Identifier: MIT
"""Which of the oldest turns are left out of a conversation that does not fit its context."""

from bisect import bisect_left
from collections.abc import Callable

from rigpanel.engine.messages import ChatMessage

Messages = tuple[ChatMessage, ...]


def without_oldest(messages: Messages, n_dropped: int) -> Messages:
    """Return the messages less the `n_dropped` oldest that are no system message."""
    first = _n_system(messages)
    return messages[:first] + messages[first + n_dropped :]


def fewest_to_drop(messages: Messages, fits: Callable[[int], bool]) -> int:
    """Return how many of the oldest messages must go until `fits` says so of that number.

    What is left begins with a user's message, so the roles go on in turn; the system message and
    the last user's message stay. When nothing fits, the most that can go is returned. `fits` is
    asked a few times only, however long the conversation: when a number fits, so do higher ones.
    """
    first = _n_system(messages)
    cuts = [
        index - first
        for index in range(first, len(messages))
        if messages[index].role == "user" or index == first
    ]
    if not cuts:
        return 0
    return cuts[min(bisect_left(cuts, True, key=fits), len(cuts) - 1)]


def _n_system(messages: Messages) -> int:
    return next(
        (index for index, message in enumerate(messages) if message.role != "system"),
        len(messages),
    )
