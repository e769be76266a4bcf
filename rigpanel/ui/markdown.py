# SPDX-License-Identifier: MIT
"""A reply's Markdown as a list of leaves: what stands under each other on the page.

A list item, a paragraph of a quotation, a table are a leaf each, with how deep they stand. While
text streams in only what may still change is read again, and only leaves that differ are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rigpanel.ui.inline import InlineReader, Span
from rigpanel.ui.maths import plan_maths

MOST_NESTED = 8
"""Lists and quotations deeper than this are not moved in further."""
MOST_PARSED = 100
"""The parser leaves out what is nested deeper."""

PART_LINES = 40
PART_ROWS = 30
WIDEST_CELL_CHARS = 60
LAST_OPEN = 2 * MOST_NESTED
"""How many tokens after a text may only close what it stands in."""
LISTS = ("bullet_list_open", "ordered_list_open")

Row: TypeAlias = tuple[tuple[Span, ...], ...]
"""A table's cells beside each other."""


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
    rows: tuple[Row, ...] = ()
    aligns: tuple[str, ...] = ()
    """Of each column of a table: left, center or right; empty where none is written."""
    widths_pct: tuple[int, ...] = ()
    """Of the columns of a table in several parts, so that the parts line up."""
    closed: bool = True
    """Whether the code ends here, its closing fence having come."""
    goes_on: bool = False
    """Whether it is a further part of the code or table above it."""
    whole: str = ""
    """All of the code that it is a part of, where that has come to its end."""
    line: int = 0
    """Of that, the line it begins with."""


@dataclass(frozen=True, slots=True)
class Parser:
    """CommonMark with tables: the blocks of a text, and what stands in a line of one."""

    blocks: MarkdownIt
    inline: MarkdownIt


def make_parser() -> Parser:
    """Return a parser to which HTML is text and an image is not fetched."""
    blocks, inline = _make_one(), _make_one()
    blocks.disable(["inline", "text_join"])
    return Parser(blocks, inline)


def _make_one() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": MOST_PARSED})
    markdown.enable(["table", "strikethrough"])
    markdown.disable("image")
    plan_maths(markdown)
    return markdown


class MarkdownReader:
    """Reads a text that grows at its end; what came before its last block is read once.

    Of a paragraph only the end is read again, of a table the row that is being written.
    """

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._environment: dict[str, Any] = {}
        self._inline = InlineReader(parser.inline, self._environment)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._from = 0
        """Where the last block that may still change begins, or its row."""
        self._number: int | None = None
        """The next number of the list that began before."""
        self._table: _OpenTable | None = None
        self._settled: list[Leaf] = []
        self._inline.forget()

    def read(self, text: str, *, whole: bool) -> tuple[int, list[Leaf]]:
        """Return how many leaves of before stand for good, and the leaves that follow them.

        `text` begins with what was read before; `whole` says that nothing more will come.
        """
        n_settled = len(self._settled)
        tail = text[self._from :]
        if self._table is not None:
            tail = self._table.head + tail
        tokens = self._parser.blocks.parse(tail, self._environment)
        if whole and self._from and self._environment.get("references"):
            # What a name stands for may have come after it.
            self._begin_anew()
            return self.read(text, whole=True)
        lines = tail.split("\n")
        leaves = self._leaves(tokens, lines, grows=not whole)
        self._settle(tokens, lines, leaves)
        return n_settled, _in_parts([*map(_closed, leaves)] if whole else leaves)

    def _leaves(
        self, tokens: Sequence[Token], lines: list[str], *, grows: bool = False
    ) -> list[Leaf]:
        """Return the leaves of a stream of tokens; the last of them may be code still open."""
        walk = _Walk(lines, self._number, self._inline)
        open_from = len(tokens) - LAST_OPEN if grows else len(tokens)
        taken = (
            walk.take(token, tokens[place - 1], last=place > open_from)
            for place, token in enumerate(tokens)
        )
        leaves = [leaf for leaf in taken if leaf is not None]
        if self._table is not None:
            leaves[:1] = self._table.with_rows(leaves[0])
        return [*map(_closed, leaves[:-1]), *leaves[-1:]]

    def _settle(self, tokens: Sequence[Token], lines: list[str], leaves: list[Leaf]) -> None:
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
            if len(starts) == 1 and tokens[starts[0]].type == "table_open" and leaves:
                self._settle_rows(tokens, lines, leaves[0])
            return
        cut = cuts[-1]
        self._settled += _in_parts([*map(_closed, self._leaves(tokens[:cut], lines))])
        if cut in items and tokens[starts[-1]].type == "ordered_list_open":
            first = self._number if starts[-1] == 0 else None
            begins = _first_number(tokens[starts[-1]]) if first is None else first
            self._number = begins + items.index(cut)
        else:
            self._number = None
        self._go_on_at(_line_of(tokens[cut]), lines)
        self._table = None

    def _settle_rows(self, tokens: Sequence[Token], lines: list[str], table: Leaf) -> None:
        """Keep the rows that are written of a table at the end, and settle its parts."""
        rows = [token for token in tokens if token.type == "tr_open"][1:]
        written = [token for token in rows if _line_of(token) < len(lines) - 1]
        if not written:
            return
        kept = replace(table, rows=table.rows[: len(table.rows) - len(rows) + len(written)])
        if kept.goes_on or len(table.rows) > PART_ROWS:
            full = [part for part in _table_in_parts(kept) if len(part.rows) == PART_ROWS]
            self._settled += full
            if full:
                left = kept.rows[PART_ROWS * len(full) :]
                kept = replace(full[-1], rows=left, goes_on=True, marker="")
        first = _line_of(tokens[0])
        head = "".join(f"{line}\n" for line in lines[first : first + 2])
        self._go_on_at(_line_of(written[-1]) + 1, lines)
        self._table = _OpenTable(head, kept)

    def _go_on_at(self, line: int, lines: list[str]) -> None:
        head = 0 if self._table is None else len(self._table.head)
        self._from += sum(len(before) + 1 for before in lines[:line]) - head


@dataclass(frozen=True, slots=True)
class _OpenTable:
    """A table whose first rows have been read: its two lines on top, and what is not settled."""

    head: str
    leaf: Leaf

    def with_rows(self, read: Leaf) -> tuple[Leaf, ...]:
        """Return it with the rows that were read below its head, if it has any row."""
        rows = (*self.leaf.rows, *read.rows[1:])
        return (replace(self.leaf, rows=rows),) if rows else ()


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


def _closed(leaf: Leaf) -> Leaf:
    return leaf if leaf.closed else replace(leaf, closed=True)


def _in_parts(leaves: list[Leaf]) -> list[Leaf]:
    """Cut long tables and code, so that only the last part is laid out anew, and none is long."""
    cut: list[Leaf] = []
    for leaf in leaves:
        if leaf.kind == "table" and (leaf.goes_on or len(leaf.rows) > PART_ROWS):
            cut += _table_in_parts(leaf)
        elif leaf.kind == "code":
            cut += _code_in_parts(leaf)
        else:
            cut.append(leaf)
    return cut


def _code_in_parts(code: Leaf) -> list[Leaf]:
    lines = code.text.split("\n")
    if code.closed and len(lines) <= PART_LINES:
        return [code]
    return [
        replace(
            code,
            text="\n".join(lines[begin : begin + PART_LINES]),
            marker="" if begin else code.marker,
            goes_on=begin > 0,
            closed=code.closed and begin + PART_LINES >= len(lines),
            whole=code.text if code.closed else "",
            line=begin if code.closed else 0,
        )
        for begin in range(0, len(lines), PART_LINES)
    ]


def _table_in_parts(table: Leaf) -> list[Leaf]:
    widths = table.widths_pct or _widths_pct(table.rows[:PART_ROWS])
    return [
        replace(
            table,
            rows=table.rows[begin : begin + PART_ROWS],
            widths_pct=widths,
            marker="" if begin else table.marker,
            goes_on=table.goes_on or begin > 0,
        )
        for begin in range(0, len(table.rows), PART_ROWS)
    ]


def _widths_pct(rows: Sequence[Row]) -> tuple[int, ...]:
    """Return how wide each column is to be, by the longest of its cells."""
    longest = [
        max(4, *(min(sum(len(span.text) for span in cell), WIDEST_CELL_CHARS) for cell in column))
        for column in zip(*rows, strict=True)
    ]
    return tuple(max(1, 100 * chars // sum(longest)) for chars in longest)


class _Walk:
    """Where in lists, quotations and tables a stream of tokens is."""

    def __init__(self, lines: list[str], first_number: int | None, inline: InlineReader) -> None:
        self._lines = lines
        self._read = inline.read
        self._first_number = first_number
        self._quoted = 0
        self._numbers: list[int | None] = []
        """The next number of each list it is in; None for one with dots."""
        self._marker = ""
        self._rows: list[Row] = []
        self._cells: list[tuple[Span, ...]] = []
        self._aligns: list[str] = []

    def take(self, token: Token, before: Token, *, last: bool) -> Leaf | None:
        """Go on by a token, maybe among the last; return the leaf it makes, if it makes one."""
        kind = token.type
        if kind in ("fence", "code_block", "maths"):
            return self._block(token)
        if kind == "inline":
            return self._inline(token, before, last=last)
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

    def _inline(self, token: Token, opened: Token, *, last: bool) -> Leaf | None:
        spans: tuple[Span, ...] | None = token.meta.get("spans")
        if spans is None:
            spans = self._read(token.content, grows=last and opened.type == "paragraph_open")
            token.meta["spans"] = spans
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
