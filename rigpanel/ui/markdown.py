# SPDX-License-Identifier: MIT
"""A reply's Markdown as a list of leaves: what stands under each other on the page.

A list item, a paragraph of a quotation, a table are a leaf each, with how deep they stand. While
text streams in only what may still change is read again, and only leaves that differ are drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rigpanel.ui.maths import plan_maths

WEB = ("http://", "https://")
MOST_NESTED = 8
"""Lists and quotations deeper than this are not moved in further."""
MOST_PARSED = 100
"""The parser leaves out what is nested deeper."""

PART_LINES = 40
LISTS = ("bullet_list_open", "ordered_list_open")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text in one look."""

    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    mono: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing of the page; `kind` is paragraph, heading, code, maths, table or rule."""

    kind: str
    spans: tuple[Span, ...] = ()
    level: int = 0
    """Of a heading, 1 to 6."""
    depth: int = 0
    """Lists it stands in."""
    quoted: int = 0
    """Quotations it stands in."""
    marker: str = ""
    """What the item begins with: a dot or its number."""
    tight: bool = False
    """No room below: the next item of the list follows."""
    language: str = ""
    text: str = ""
    """Code or maths as written."""
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()
    aligns: tuple[str, ...] = ()
    """Of each column of a table: left, center or right; empty where none is written."""
    closed: bool = True
    """Whether the code's closing fence has come."""
    goes_on: bool = False
    """Whether it is a further part of the code above it."""


def make_parser() -> MarkdownIt:
    """Return a parser of CommonMark with tables; HTML stays text, images are not fetched."""
    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": MOST_PARSED})
    markdown.enable(["table", "strikethrough"])
    markdown.disable("image")
    plan_maths(markdown)
    return markdown


class MarkdownReader:
    """Reads a text that grows at its end; what came before its last block is read once."""

    def __init__(self, parser: MarkdownIt) -> None:
        self._parser = parser
        self._environment: dict[str, Any] = {}
        self._from = 0
        """Where the last block that may still change begins."""
        self._number: int | None = None
        """The next number of the list that began before."""
        self._settled: list[Leaf] = []

    def read(self, text: str, *, whole: bool) -> tuple[int, list[Leaf]]:
        """Return how many leaves of before stand for good, and the leaves that follow them.

        `text` begins with what was read before; `whole` says that nothing more will come.
        """
        n_settled = len(self._settled)
        tail = text[self._from :]
        tokens = self._parser.parse(tail, self._environment)
        if whole and self._from and self._environment.get("references"):
            # What a name stands for may have come after it.
            self._from, self._number, self._settled = 0, None, []
            return self.read(text, whole=True)
        lines = tail.split("\n")
        leaves = _leaves(tokens, lines, self._number)
        self._settle(tokens, lines)
        return n_settled, [*map(_closed, leaves)] if whole else _in_parts(leaves)

    def _settle(self, tokens: Sequence[Token], lines: list[str]) -> None:
        """Take what more text cannot change out of what is read the next time."""
        starts = [i for i, t in enumerate(tokens) if t.level == 0 and t.nesting >= 0 and t.map]
        items: list[int] = []
        if starts and tokens[starts[-1]].type in LISTS:
            after = range(starts[-1], len(tokens))
            items = [i for i in after if tokens[i].level == 1 and tokens[i].nesting == 1]
        cuts = starts + items[1:]
        if cuts and _still_undecided(tokens[cuts[-1]], len(lines)):
            cuts.pop()
        if len(cuts) < 2:
            return
        cut = cuts[-1]
        self._settled += map(_closed, _leaves(tokens[:cut], lines, self._number))
        if cut in items and tokens[starts[-1]].type == "ordered_list_open":
            first = self._number if starts[-1] == 0 else None
            begins = _first_number(tokens[starts[-1]]) if first is None else first
            self._number = begins + items.index(cut)
        else:
            self._number = None
        self._from += sum(len(line) + 1 for line in lines[: _line_of(tokens[cut])])


def _line_of(token: Token) -> int:
    return token.map[0] if token.map else 0


def _still_undecided(token: Token, n_lines: int) -> bool:
    """Tell whether a block may yet belong to what stands above it.

    So it is while the line it begins with, or the one that closes its maths, goes on.
    """
    begin, end = token.map or (0, 0)
    return begin == n_lines - 1 or (token.type == "maths" and end == n_lines)


def _first_number(token: Token) -> int:
    return int(token.attrs.get("start", 1))


def _leaves(tokens: Sequence[Token], lines: list[str], first_number: int | None) -> list[Leaf]:
    """Return the leaves of a stream of tokens; only the last of them may be code still open.

    `first_number` is that of a list which has been begun in what is settled.
    """
    walk = _Walk(lines, first_number)
    taken = (walk.take(token, tokens[place - 1]) for place, token in enumerate(tokens))
    leaves = [leaf for leaf in taken if leaf is not None]
    return [*map(_closed, leaves[:-1]), *leaves[-1:]]


def _closed(leaf: Leaf) -> Leaf:
    return leaf if leaf.closed else replace(leaf, closed=True)


def _in_parts(leaves: list[Leaf]) -> list[Leaf]:
    """Cut code that still grows into parts, so that only the last of them is laid out anew."""
    if not leaves or leaves[-1].closed:
        return leaves
    code = leaves.pop()
    lines = code.text.split("\n")
    for begin in range(0, len(lines), PART_LINES):
        text = "\n".join(lines[begin : begin + PART_LINES])
        marker = "" if begin else code.marker
        leaves.append(replace(code, text=text, marker=marker, goes_on=begin > 0))
    return leaves


class _Walk:
    """Where in lists, quotations and tables a stream of tokens is."""

    def __init__(self, lines: list[str], first_number: int | None) -> None:
        self._lines = lines
        self._first_number = first_number
        self._quoted = 0
        self._numbers: list[int | None] = []
        """The next number of each list it is in; None for one with dots."""
        self._marker = ""
        self._rows: list[tuple[tuple[Span, ...], ...]] = []
        self._cells: list[tuple[Span, ...]] = []
        self._aligns: list[str] = []

    def take(self, token: Token, before: Token) -> Leaf | None:
        """Go on by a token; return the leaf it makes, if it makes one."""
        kind = token.type
        if kind in ("fence", "code_block", "maths"):
            return self._block(token)
        if kind == "inline":
            return self._inline(token, before)
        if kind == "hr":
            return self._leaf("rule")
        if kind == "list_item_close" and self._marker:  # an item without text
            return self._leaf("paragraph", tight=True)
        if kind == "table_close":
            rows, self._rows = tuple(self._rows), []
            aligns, self._aligns = tuple(self._aligns), []
            return self._leaf("table", rows=rows, aligns=aligns)
        self._enter_or_leave(token)
        return None

    def _enter_or_leave(self, token: Token) -> None:
        kind = token.type
        if kind == "bullet_list_open":
            self._first_number = None
            self._numbers.append(None)
        elif kind == "ordered_list_open":
            given, self._first_number = self._first_number, None
            self._numbers.append(_first_number(token) if given is None else given)
        elif kind in ("bullet_list_close", "ordered_list_close"):
            self._numbers.pop()
        elif kind == "list_item_open":
            number = self._numbers[-1]
            self._marker = "•" if number is None else f"{number}."
            self._numbers[-1] = None if number is None else number + 1
        elif kind in ("blockquote_open", "blockquote_close"):
            self._quoted += token.nesting
        elif kind == "tr_open":
            self._cells = []
        elif kind == "tr_close":
            self._rows.append(tuple(self._cells))

    def _inline(self, token: Token, opened: Token) -> Leaf | None:
        spans = tuple(_spans(token.children or []))
        if opened.type in ("th_open", "td_open"):
            self._cells.append(spans)
            if opened.type == "th_open":
                self._aligns.append(str(opened.attrs.get("style", "")).removeprefix("text-align:"))
            return None
        if opened.type == "heading_open":
            return self._leaf("heading", spans=spans, level=int(opened.tag[1]))
        return self._leaf("paragraph", spans=spans, tight=opened.hidden)

    def _block(self, token: Token) -> Leaf:
        words = token.info.split()
        return self._leaf(
            "maths" if token.type == "maths" else "code",
            language=words[0] if words else "",
            text=token.content.rstrip("\n"),
            closed=token.type != "fence" or _is_closed(token, self._lines),
        )

    def _leaf(self, kind: str, **more: Any) -> Leaf:
        marker, self._marker = self._marker, ""
        depth = len(self._numbers)
        return Leaf(kind, depth=depth, quoted=self._quoted, marker=marker, **more)


def _is_closed(fence: Token, lines: list[str]) -> bool:
    begin, end = fence.map or (0, 0)
    last = lines[end - 1].strip(" \t>") if 0 < end <= len(lines) else ""
    return end - 1 > begin and last.startswith(fence.markup) and not last.strip(fence.markup[0])


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
