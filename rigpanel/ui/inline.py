# SPDX-License-Identifier: MIT
"""What stands in a paragraph, a heading or a cell: read in spans, and read on as it grows."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

WEB = ("http://", "https://")
READ_AGAIN_CHARS = 400
"""A text that grows is read again from about so far before its end."""
_PAIR = re.compile(r"\[[^\[\]]*\]")
_MAY_OPEN = re.compile(r"[`\[\\]|\*(?=\S)|(?<!\w)_(?=\S)|~~(?=\S)|\$(?=\S)")
"""A mark that stands as text, and may yet turn out to begin something."""
_GAP = re.compile(r"(?<=\S) (?=\S)")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text in one look."""

    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    mono: bool = False
    link: str = ""

    def goes_on_as(self, other: "Span") -> bool:
        """Tell whether the other looks the same."""
        return self._look() == other._look()  # noqa: SLF001 - its own kind

    def _look(self) -> tuple[bool, bool, bool, bool, str]:
        return self.bold, self.italic, self.struck, self.mono, self.link


class InlineReader:
    """Reads texts, of which one grows: of that one, what is decided is read once."""

    def __init__(self, parser: MarkdownIt, environment: dict[str, Any]) -> None:
        self._parser = parser
        self._environment = environment
        self._decided = ""
        self._spans: tuple[Span, ...] = ()
        self._tried = 0
        """How long the text was when it was last looked at what is decided."""

    def forget(self) -> None:
        """Read everything anew."""
        self._decided, self._spans, self._tried = "", (), 0

    def read(self, text: str, *, grows: bool = False) -> tuple[Span, ...]:
        """Return a text's spans; `grows` says that it may be longer the next time."""
        if not text.startswith(self._decided):
            if not grows:
                return self._parse(text)
            self.forget()
        spans = _joined((*self._spans, *self._parse(text[len(self._decided) :])))
        if grows and len(text) > max(self._tried, len(self._decided)) + 2 * READ_AGAIN_CHARS:
            self._tried = len(text) - READ_AGAIN_CHARS
            self._decide(text)
        return spans

    def _decide(self, text: str) -> None:
        """Take up to a gap near the end what nothing that follows can change."""
        begin = len(self._decided)
        gaps = [found.end() for found in _GAP.finditer(text, begin, len(text) - READ_AGAIN_CHARS)]
        if not gaps:
            return
        part = text[begin : gaps[-1]]
        spans = self._parse(part)
        shown = "".join("x" if span.mono else span.text for span in spans)
        shown += "\\" * (part.count("\\") - sum(s.text.count("\\") for s in spans))
        if not _MAY_OPEN.search(_PAIR.sub("", shown)):
            self._decided = text[: gaps[-1]]
            self._spans = _joined((*self._spans, *spans))

    def _parse(self, text: str) -> tuple[Span, ...]:
        (token,) = self._parser.parseInline(text, self._environment)
        return _joined(_spans(token.children or []))


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Make one of spans that look the same."""
    made: list[Span] = []
    for span in spans:
        if made and made[-1].goes_on_as(span):
            made[-1] = replace(span, text=made[-1].text + span.text)
        else:
            made.append(span)
    return tuple(made)


def _spans(children: Sequence[Token]) -> Iterator[Span]:
    bold = italic = struck = 0
    link = ""
    for token in children:
        kind = token.type
        if kind in ("strong_open", "strong_close"):
            bold += token.nesting
        elif kind in ("em_open", "em_close"):
            italic += token.nesting
        elif kind in ("s_open", "s_close"):
            struck += token.nesting
        elif kind == "link_open":
            target = str(token.attrs.get("href", ""))
            link = target if target.lower().startswith(WEB) else ""
        elif kind == "link_close":
            link = ""
        else:
            text = {"softbreak": " ", "hardbreak": "\u2028"}.get(kind, token.content)
            if text:
                mono = kind in ("code_inline", "maths_inline")
                yield Span(text, bold > 0, italic > 0, struck > 0, mono, link)
