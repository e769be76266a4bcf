# SPDX-License-Identifier: MIT
"""Guesses the next tokens from what followed the last few when they came before."""

LONGEST, SHORTEST = 3, 2
"""Tokens that must be the same: the longest run that came before decides."""


class PromptLookup:
    """Knows a conversation's tokens; each is added once, and a guess costs a few look-ups."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        """Where a run of tokens was last continued."""

    def add(self, tokens: list[int]) -> None:
        """Take the tokens that follow those known."""
        known, after = self._tokens, self._after
        for token in tokens:
            end = len(known)
            for length in range(SHORTEST, min(LONGEST, end) + 1):
                after[tuple(known[end - length :])] = end
            known.append(token)

    def guess(self, count: int) -> list[int]:
        """Return up to `count` tokens that may come next."""
        known = self._tokens
        for length in range(min(LONGEST, len(known)), SHORTEST - 1, -1):
            begin = self._after.get(tuple(known[-length:]))
            if begin is not None:
                return known[begin : begin + count]
        return []
