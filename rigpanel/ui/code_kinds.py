# SPDX-License-Identifier: MIT
"""What each stretch of code in a message is, so that it can be coloured."""

import functools
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pygments.lexers import find_lexer_class_by_name
from pygments.util import ClassNotFound

if TYPE_CHECKING:
    from pygments.lexer import Lexer


Kinds = list[tuple[object, str]]


def kinds_of(text: str, language: str, *, by_line: bool) -> Iterator[tuple[object, str]]:
    """Yield stretches with their Pygments token; None and the whole for a language not known.

    `by_line` is for code whose end is still open: a string that is not closed reaches no further.
    """
    lexer = _lexer(language)
    if lexer is None:
        yield None, text
        return
    for part in text.splitlines(keepends=True) if by_line else (text,):
        yield from lexer.get_tokens(part)


def kinds_of_lines(whole: str, language: str, first: int, count: int) -> Kinds:
    """Return what some lines of code are, read as the part of the whole that they are.

    No more of the whole is read than goes before, and each line once where they are asked in order.
    """
    kinds = list(itertools.chain.from_iterable(_lines_of(whole, language).get(first, count)))
    if kinds and kinds[-1][1].endswith("\n"):
        kinds[-1] = (kinds[-1][0], kinds[-1][1][:-1])
    return kinds


class _Lines:
    """The lines of one code, read as far as they were asked for."""

    def __init__(self, text: str, language: str) -> None:
        self._rest = kinds_of(text, language, by_line=False)
        self._read: list[Kinds] = [[]]

    def get(self, first: int, count: int) -> list[Kinds]:
        """Return the stretches of each line; a line's end is part of its last."""
        while len(self._read) <= first + count:
            stretch = next(self._rest, None)
            if stretch is None:
                break
            kind, piece = stretch
            for part in piece.splitlines(keepends=True):
                self._read[-1].append((kind, part))
                if part.endswith("\n"):
                    self._read.append([])
        return self._read[first : first + count]


_lines_of = functools.lru_cache(maxsize=4)(_Lines)


def _lexer(language: str) -> "Lexer | None":
    made = _lexer_class(language)
    return None if made is None else made(stripnl=False, ensurenl=False)


@functools.lru_cache(maxsize=64)
def _lexer_class(language: str) -> "type[Lexer] | None":
    """Return the lexer of a language; for a name not known every installed package is searched."""
    try:
        return find_lexer_class_by_name(language) if language else None
    except ClassNotFound:
        return None
