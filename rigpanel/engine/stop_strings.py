# SPDX-License-Identifier: MIT
"""Ends a streamed text before the first of some strings, without showing a part of one."""


class StopStrings:
    """Fed with pieces of a text; holds back only what may yet become a stop string.

    Of several that overlap, the one that is whole first counts.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        """Whether the text has ended; what comes after is passed over."""

    def feed(self, piece: str) -> str:
        """Take the next piece and return what can be shown."""
        if not self._stops:
            return piece
        if self.found:
            return ""
        text = self._held + piece
        ends = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.found = True
            self._held = ""
            return text[: min(ends)[1]]
        shown = len(text) - may_begin(text, self._stops)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """Return what is held back: the text is at its end, and it was no stop string."""
        held, self._held = self._held, ""
        return held


def may_begin(text: str, strings: tuple[str, ...]) -> int:
    """Return how many characters at the end of a text may yet become one of the strings."""
    longest = max(map(len, strings), default=0)
    for length in range(min(longest - 1, len(text)), 0, -1):
        end = text[-length:]
        if any(string.startswith(end) for string in strings):
            return length
    return 0
