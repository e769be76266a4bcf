# SPDX-License-Identifier: MIT
"""How much of what a KV cache holds a new prompt begins with, by its text and not its tokens."""

import codecs
from collections.abc import Callable, Sequence

Piece = Callable[[int], bytes]
"""The bytes that the token at a position stands for."""


def splice(
    cached: Sequence[int], fresh: Sequence[int], cached_piece: Piece, fresh_piece: Piece
) -> tuple[int, list[int]]:
    """Return how many of the cached tokens hold, and the prompt that begins with them.

    A model writes a text in other tokens than its tokenizer would, so a reply read anew differs
    from what is cached of it. Past the tokens they share, both are compared by the text they make;
    where they last come to the end of a token with the same text behind them, the cached tokens
    before it stand for the fresh ones. Bytes that are no UTF-8, and NUL, count as U+FFFD: so a
    person got them, and so does the next prompt.
    """
    shared = 0
    for ours, theirs in zip(cached, fresh, strict=False):
        if ours != theirs:
            break
        shared += 1
    if shared == len(cached) or shared == len(fresh):
        return shared, list(fresh)
    begin = shared
    while begin and _is_inside_character(fresh_piece(begin)):
        begin -= 1
    kept, taken = _last_meeting(
        _Reader(begin, len(cached), cached_piece), _Reader(begin, len(fresh), fresh_piece)
    )
    if kept <= shared:
        return shared, list(fresh)
    return kept, [*cached[:kept], *fresh[taken:]]


def _is_inside_character(data: bytes) -> bool:
    return bool(data) and data[0] & 0xC0 == 0x80


def _last_meeting(ours: "_Reader", theirs: "_Reader") -> tuple[int, int]:
    """Return the last pair of positions that have the same text before them, from the start on."""
    met = ours.at, theirs.at
    while not (theirs.done and theirs.ahead == ours.ahead == ""):  # What follows is no prompt.
        if len(ours.ahead) <= len(theirs.ahead):
            behind, other = ours, theirs
        else:
            behind, other = theirs, ours
        if not behind.read():
            return met
        common = min(len(ours.ahead), len(theirs.ahead))
        if ours.ahead[:common] != theirs.ahead[:common]:
            return met
        behind.ahead, other.ahead = behind.ahead[common:], other.ahead[common:]
        if not ours.ahead and not theirs.ahead and ours.whole and theirs.whole:
            met = ours.at, theirs.at
    return met


class _Reader:
    """Reads tokens as text; `ahead` is the text the other reader has not yet come to."""

    def __init__(self, at: int, end: int, piece: Piece) -> None:
        self.at = at
        self.ahead = ""
        self.whole = True
        """Whether no character is begun and not ended."""
        self._end = end
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def done(self) -> bool:
        """Whether there is no token left to read."""
        return self.at == self._end

    def read(self) -> bool:
        """Read one token; says whether there was one."""
        if self.done:
            return False
        data = self._piece(self.at)
        self.at += 1
        text = self._decoder.decode(data, final=self.done)
        self.ahead += text.replace("\0", "\ufffd")
        self.whole = not self._decoder.getstate()[0]
        return True
