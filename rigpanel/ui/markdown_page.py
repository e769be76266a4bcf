# SPDX-License-Identifier: MIT
"""Draws the leaves of a Markdown text into a Qt document, in a theme's colours."""

import itertools
import math
import time
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextLength,
    QTextOption,
    QTextTable,
    QTextTableCellFormat,
    QTextTableFormat,
)

from rigpanel.ui.code_kinds import kinds_of, kinds_of_lines
from rigpanel.ui.inline import Span
from rigpanel.ui.markdown import MOST_NESTED, PART_ROWS, Leaf, MarkdownReader
from rigpanel.ui.markdown_look import Look

INDENT_PX = 20
GAP_PX = 8
COPY = "rigpanel:copy/"
"""The target of the word that copies a block of code; its place in the page follows."""
SIDES = {"center": Qt.AlignmentFlag.AlignHCenter, "right": Qt.AlignmentFlag.AlignRight}
"""How a table's column stands that is not to stand at the left."""
CHROME = QTextFormat.Property.UserProperty + 1
"""Set on blocks that are not part of the text: they are left out of what is copied."""


class _Placed:
    """A leaf that has been drawn, and how to take it away again."""

    __slots__ = ("at", "fresh", "leaf")

    def __init__(self, leaf: Leaf, at: int, *, fresh: bool) -> None:
        self.leaf = leaf
        self.at = at
        self.fresh = fresh
        """Whether the document ended in an empty block that this leaf moved into."""


class MarkdownPage:
    """One text that may grow, drawn into a document; only what changed is drawn anew."""

    def __init__(self, document: QTextDocument, look: Look, *, muted: bool = False) -> None:
        self._document = document
        document.setUndoRedoEnabled(False)
        self._look = look
        self._muted = muted
        self._reader = MarkdownReader(look.parser)
        self._placed: list[_Placed] = []
        self._waiting: list[Leaf] = []
        """What comes after it and is still to be drawn."""
        self._fresh = True
        self._raw_from: int | None = None
        """Where text begins that has not been read as Markdown."""

    @property
    def changing_from(self) -> int:
        """Where in the document begins what the next `draw` may take away."""
        return self._placed[-1].at if self._placed else 0

    @property
    def unfinished(self) -> bool:
        """Whether `go_on` has more to draw."""
        return bool(self._waiting)

    def draw(self, text: str, *, whole: bool, at_most_s: float = math.inf) -> None:
        """Show a text that begins with what was shown; `whole` when no more will come.

        What does not fit into `at_most_s` is left to `go_on`; laying out is not counted in.
        """
        n_settled, leaves = self._reader.read(text.replace("\r", ""), whole=whole)
        standing = [*(placed.leaf for placed in self._placed), *self._waiting][n_settled:]
        same = 0
        while same < min(len(leaves), len(standing)) and leaves[same] == standing[same]:
            same += 1
        if same == len(leaves) == len(standing) and self._raw_from is None:
            return
        cursor = QTextCursor(self._document)
        cursor.beginEditBlock()
        if self._raw_from is not None:
            self._cut(self._raw_from)
            self._raw_from = None
        last = same == len(standing) - 1 and not self._waiting
        if last and same < len(leaves) and self._grow(leaves[same]):
            self._placed[-1].leaf = leaves[same]
            same += 1
        stays = n_settled + same
        del self._waiting[max(stays - len(self._placed), 0) :]
        self._take_away(stays)
        self._waiting += leaves[same:]
        self._place_waiting(at_most_s)
        cursor.endEditBlock()

    def go_on(self, at_most_s: float) -> None:
        """Draw more of what is waiting, at least a piece of it."""
        cursor = QTextCursor(self._document)
        cursor.beginEditBlock()
        self._place_waiting(at_most_s)
        cursor.endEditBlock()

    def _place_waiting(self, at_most_s: float) -> None:
        end_s = time.perf_counter() + at_most_s
        while self._waiting:
            self._place(self._waiting.pop(0))
            if time.perf_counter() > end_s:
                break

    def append_raw(self, text: str) -> None:
        """Add text as it is; the next `draw` lays it out."""
        cursor = QTextCursor(self._document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if self._raw_from is None:
            self._raw_from = cursor.position()
        cursor.insertText(text, self._look.span(Span(""), Leaf("paragraph"), muted=self._muted))

    def code(self, target: str) -> str:
        """Return the code that a block's word for copying stands for; empty for another link."""
        place = target.removeprefix(COPY)
        if not target.startswith(COPY) or not place.isdecimal():
            return ""
        lines: list[str] = []
        for leaf in [*(placed.leaf for placed in self._placed), *self._waiting][int(place) :]:
            if lines and not leaf.goes_on:
                break
            lines.append(leaf.text)
        return "\n".join(lines)

    def _grow(self, new: Leaf) -> bool:
        """Make the last leaf that is drawn into one with more in it; tell whether that can be."""
        old = self._placed[-1].leaf
        if replace(old, spans=(), text="", rows=()) != replace(new, spans=(), text="", rows=()):
            return False
        if new.kind == "code":
            grows = not new.closed and new.text.startswith(old.text)
            if grows:
                self._grow_code(old, new)
            return grows
        if new.kind == "table":
            grows = (
                0 < len(old.rows) <= len(new.rows)
                and old.rows[:-1] == new.rows[: len(old.rows) - 1]
            )
            if grows:
                self._grow_table(old, new)
            return grows
        if new.spans:
            self._grow_text(self._placed[-1], new)
        return bool(new.spans)

    def _take_away(self, count: int) -> None:
        """Take every leaf from the `count`th on out of the document."""
        if count < len(self._placed):
            self._cut(self._placed[count].at)
            self._fresh = self._placed[count].fresh
            if self._fresh:  # what stood in it must not show above a table
                cursor = QTextCursor(self._document)
                cursor.movePosition(QTextCursor.MoveOperation.End)
                cursor.setBlockFormat(QTextBlockFormat())
            del self._placed[count:]

    def _cut(self, at: int) -> None:
        cursor = QTextCursor(self._document)
        cursor.setPosition(at)
        form = cursor.blockFormat()
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if not cursor.block().text():  # a rule, say: Qt gives it the format of what came below
            cursor.setBlockFormat(form)

    def _place(self, leaf: Leaf) -> None:
        cursor = QTextCursor(self._document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        before = self._placed[-1].leaf if self._placed else None
        self._placed.append(_Placed(leaf, cursor.position(), fresh=self._fresh))
        if leaf.kind in ("code", "table"):
            place = self._place_code if leaf.kind == "code" else self._place_table
            place(cursor, leaf)
            self._fresh = True
            return
        form = self._block(leaf, before)
        if self._fresh:
            cursor.setBlockFormat(form)
            cursor.setBlockCharFormat(QTextCharFormat())
        else:
            cursor.insertBlock(form, QTextCharFormat())
        self._fresh = False
        if leaf.kind == "maths":
            cursor.insertText(leaf.text.replace("\n", "\u2028"), self._look.mono())
            return
        if leaf.marker:
            plain = self._look.span(Span(""), leaf, muted=self._muted)
            cursor.insertText(f"{leaf.marker}\t", plain)
        for span in leaf.spans:
            cursor.insertText(span.text, self._look.span(span, leaf, muted=self._muted))

    def _block(self, leaf: Leaf, before: Leaf | None) -> QTextBlockFormat:
        form = QTextBlockFormat()
        form.setLineHeight(140, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        near = leaf.tight and before is not None and before.depth > 0
        if before is not None:
            form.setTopMargin(3 if near else GAP_PX + (4 if leaf.kind == "heading" else 0))
        deep = min(leaf.depth, MOST_NESTED) * INDENT_PX + min(leaf.quoted, MOST_NESTED) * INDENT_PX
        if leaf.kind == "maths":
            deep += INDENT_PX
        form.setLeftMargin(deep)
        if leaf.marker:
            form.setTextIndent(-INDENT_PX)
            form.setTabPositions([QTextOption.Tab(INDENT_PX, QTextOption.TabType.LeftTab)])
        if leaf.kind == "rule":
            form.setBackground(QColor(self._look.theme.border))  # the rule's own colour, too
            form.setProperty(
                QTextFormat.Property.BlockTrailingHorizontalRulerWidth.value,
                QTextLength(QTextLength.Type.PercentageLength, 100),
            )
        return form

    def _table_format(self, leaf: Leaf) -> QTextTableFormat:
        form = QTextTableFormat()
        form.setBorder(0)
        form.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_None)
        form.setCellSpacing(0)
        form.setCellPadding(0)
        form.setTopMargin(GAP_PX if len(self._placed) > 1 else 0)
        form.setBottomMargin(GAP_PX)
        form.setLeftMargin(min(leaf.depth + leaf.quoted, MOST_NESTED) * INDENT_PX)
        return form

    def _place_code(self, cursor: QTextCursor, leaf: Leaf) -> None:
        form = self._table_format(leaf)
        form.setWidth(QTextLength(QTextLength.Type.PercentageLength, 100))
        form.setBottomMargin(GAP_PX if leaf.closed else 0)
        if leaf.goes_on:
            form.setTopMargin(0)
            cell = cursor.insertTable(1, 1, form).cellAt(0, 0)
            cell.setFormat(_padded(10, 0, 10, 0, self._look.theme.raised))
            self._write_lines(cell.firstCursorPosition(), leaf)
            return
        table = cursor.insertTable(2, 2, form)
        table.mergeCells(1, 0, 1, 2)
        small = self._look.small()
        self._chrome(table, 0, leaf.language or "text", small)
        link = QTextCharFormat(small)
        link.setAnchor(True)
        link.setAnchorHref(f"{COPY}{len(self._placed) - 1}")
        link.setForeground(QColor(self._look.theme.accent))
        link.setToolTip("Copy this code")
        self._chrome(table, 1, "Copy", link)
        cell = table.cellAt(1, 0)
        below = 10 if leaf.closed else 0
        cell.setFormat(_padded(10, 2, 10, below, self._look.theme.raised))
        self._write_lines(cell.firstCursorPosition(), leaf)

    def _write_lines(self, cursor: QTextCursor, leaf: Leaf) -> None:
        cursor.setBlockFormat(_lines(125))
        self._write_code(cursor, leaf.text, leaf)

    def _chrome(self, table: QTextTable, column: int, text: str, form: QTextCharFormat) -> None:
        cell = table.cellAt(0, column)
        cell.setFormat(_padded(10, 6, 10, 2, self._look.theme.raised))
        inside = cell.firstCursorPosition()
        block = QTextBlockFormat()
        block.setProperty(CHROME, True)
        if column:
            block.setAlignment(Qt.AlignmentFlag.AlignRight)
        inside.setBlockFormat(block)
        inside.insertText(text, form)

    def _grow_code(self, old: Leaf, new: Leaf) -> None:
        """Add to the open code at the end; its last line is coloured anew, the others stay."""
        cursor = QTextCursor(self._document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.movePosition(QTextCursor.MoveOperation.PreviousCharacter)
        begun = old.text.rpartition("\n")[2]
        cursor.movePosition(
            QTextCursor.MoveOperation.PreviousCharacter,
            QTextCursor.MoveMode.KeepAnchor,
            _utf16_length(begun),
        )
        cursor.removeSelectedText()
        self._write_code(cursor, new.text[len(old.text) - len(begun) :], new)

    def _grow_text(self, placed: _Placed, new: Leaf) -> None:
        """Put the spans in place of the old ones, from where they differ."""
        begin = f"{new.marker}\t" if new.marker else ""
        at = placed.at + (0 if placed.fresh else 1) + _utf16_length(begin)
        spans = list(new.spans)
        for old in placed.leaf.spans:
            if not spans or not spans[0].goes_on_as(old):
                break
            same = _common(old.text, spans[0].text)
            at += _utf16_length(same)
            if same != spans[0].text:
                spans[0] = replace(spans[0], text=spans[0].text[len(same) :])
                break
            del spans[0]
            if same != old.text:
                break
        self._cut(at)
        cursor = QTextCursor(self._document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        for span in spans:
            cursor.insertText(span.text, self._look.span(span, new, muted=self._muted))

    def _grow_table(self, old: Leaf, new: Leaf) -> None:
        """Write the last row anew and add those that have come."""
        cursor = QTextCursor(self._document)
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.movePosition(QTextCursor.MoveOperation.PreviousCharacter)
        table = cursor.currentTable()
        last = len(old.rows) - 1
        for x in range(len(old.rows[last])):
            inside = table.cellAt(last, x).firstCursorPosition()
            end = table.cellAt(last, x).lastPosition()
            inside.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            inside.removeSelectedText()
        if len(new.rows) > len(old.rows):
            table.appendRows(len(new.rows) - len(old.rows))
            if new.widths_pct and len(new.rows) == PART_ROWS:
                table.setFormat(self._part_format(new))  # another part follows closely
        for y in range(last, len(new.rows)):
            self._write_row(table, y, new)

    def _write_code(self, cursor: QTextCursor, text: str, leaf: Leaf) -> None:
        if leaf.whole:
            kinds = kinds_of_lines(leaf.whole, leaf.language, leaf.line, text.count("\n") + 1)
        else:
            kinds = list(kinds_of(text, leaf.language, by_line=not leaf.closed))
        for kind, piece in kinds:
            look = self._look.mono() if kind is None else self._look.code(kind)
            cursor.insertText(piece, look)

    def _place_table(self, cursor: QTextCursor, leaf: Leaf) -> None:
        form = self._part_format(leaf)
        table = cursor.insertTable(len(leaf.rows), len(leaf.aligns), form)
        for y in range(len(leaf.rows)):
            self._write_row(table, y, leaf)

    def _part_format(self, leaf: Leaf) -> QTextTableFormat:
        """Return the format of a table, which may be a part of a longer one."""
        form = self._table_format(leaf)
        if leaf.widths_pct:
            length = QTextLength.Type.PercentageLength
            form.setWidth(QTextLength(length, 100))
            form.setColumnWidthConstraints([QTextLength(length, w) for w in leaf.widths_pct])
            form.setBottomMargin(0 if len(leaf.rows) == PART_ROWS else GAP_PX)
        if leaf.goes_on:
            form.setTopMargin(0)
        return form

    def _write_row(self, table: QTextTable, y: int, leaf: Leaf) -> None:
        plain = Leaf("paragraph", quoted=leaf.quoted)
        for x, spans in enumerate(leaf.rows[y]):
            cell = table.cellAt(y, x)
            form = _padded(0 if x == 0 else 8, 4, 8, 4)
            form.setBottomBorder(1)
            form.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
            form.setBottomBorderBrush(QBrush(QColor(self._look.theme.border)))
            cell.setFormat(form)
            inside = cell.firstCursorPosition()
            block = QTextBlockFormat()
            block.setAlignment(SIDES.get(leaf.aligns[x], Qt.AlignmentFlag.AlignLeft))
            inside.setBlockFormat(block)
            for span in spans:
                look = self._look.span(span, plain, muted=self._muted)
                if y == 0 and not leaf.goes_on:
                    look = QTextCharFormat(look)
                    look.setFontWeight(QFont.Weight.DemiBold)
                inside.insertText(span.text, look)


def _padded(left: int, top: int, right: int, bottom: int, ground: str = "") -> QTextTableCellFormat:
    form = QTextTableCellFormat()
    form.setLeftPadding(left)
    form.setTopPadding(top)
    form.setRightPadding(right)
    form.setBottomPadding(bottom)
    if ground:
        form.setBackground(QBrush(QColor(ground)))
    return form


def _lines(height_pct: int) -> QTextBlockFormat:
    form = QTextBlockFormat()
    form.setLineHeight(height_pct, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    return form


def _common(one: str, other: str) -> str:
    """Return what two texts begin with alike."""
    if other.startswith(one):
        return one
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(character for character, _ in pairs)


def _utf16_length(text: str) -> int:
    """Return how many positions Qt gives a text."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
