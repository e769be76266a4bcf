# SPDX-License-Identifier: MIT
"""Markdown: read piece by piece as it would be whole, LaTeX and HTML left as they are."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument, QTextTable
from pytestqt.qtbot import QtBot

from rigpanel.ui import inline, markdown
from rigpanel.ui.markdown import Leaf, MarkdownReader, make_parser
from rigpanel.ui.markdown_look import Look
from rigpanel.ui.markdown_page import MarkdownPage
from rigpanel.ui.theme import DARK

PIECES = (
    "word ", "**bold** ", "*it", "*", "`code`", "`", "\n", "\n\n", "# ", "- ", "  - ", "1. ",
    "> ", "```", "```python\n", "def f():\n    return 1\n", "| a | b |\n|---|---|\n", "| 1 | 2 |\n",
    "$x_1$ ", "$$\n", r"\[", r"\]", r"\(a_b\) ", "<b>", "[l](http://x.y)", "[r]: http://a.b\n",
    "---\n", "===\n", "    ", "\t", "é𝄞", "|", "~~", "!",
)  # fmt: skip
PARSER = make_parser()
texts = st.lists(st.sampled_from(PIECES), max_size=30)


def near(leaves: list[Leaf]) -> list[Leaf]:
    """Leave out how much room is between items: a list that grows keeps what it began with."""
    return [dataclasses.replace(leaf, tight=False) for leaf in leaves]


def whole(text: str) -> list[Leaf]:
    return MarkdownReader(PARSER).read(text, whole=True)[1]


def shown(leaves: list[Leaf]) -> str:
    return "\n".join(leaf.text or "".join(span.text for span in leaf.spans) for leaf in leaves)


@given(texts)
def test_a_text_read_as_it_grows_reads_as_it_does_whole(pieces: list[str]) -> None:
    reader = MarkdownReader(PARSER)
    leaves: list[Leaf] = []
    grown = list(itertools.accumulate(pieces)) or [""]
    for text in grown:
        stands, more = reader.read(text, whole=text is grown[-1])
        leaves[stands:] = more
    assert near(leaves) == near(whole(grown[-1]))


ROWS = ("| 1 | *a* |\n", "| 22", " | `b` |", "\n", "three\n", "| x |\n")


@given(
    st.lists(st.sampled_from([*PIECES, "| a | b |\n|--:|---|\n", *ROWS * 6]), max_size=40),
    st.booleans(),
)
def test_long_tables_and_paragraphs_read_as_they_grow_are_the_same(
    pieces: list[str], in_table: bool
) -> None:
    begin = "| a | b |\n|--:|---|\n" if in_table else "Words "
    reader = MarkdownReader(PARSER)
    leaves: list[Leaf] = []
    grown = list(itertools.accumulate(pieces, initial=begin))
    with pytest.MonkeyPatch.context() as small:
        small.setattr(markdown, "PART_ROWS", 3)
        small.setattr(inline, "READ_AGAIN_CHARS", 4)
        for text in grown:
            stands, more = reader.read(text, whole=text is grown[-1])
            leaves[stands:] = more
        assert near(leaves) == near(whole(grown[-1]))


@pytest.fixture(scope="module")
def look(qapp: object) -> Look:
    return Look(DARK)


@pytest.mark.parametrize("some", [PIECES, ("| a | b |\n|--:|---|\n", *ROWS, "word ", "**é𝄞** ")])
def test_a_page_drawn_as_it_grows_looks_as_it_does_whole(
    look: Look, some: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if some is not PIECES:
        monkeypatch.setattr(markdown, "PART_ROWS", 3)
    for number in range(len(some)):
        pieces = [some[(number * 7 + at * at) % len(some)] for at in range(40)]
        grown, document = QTextDocument(), QTextDocument()
        page = MarkdownPage(grown, look)
        for text in itertools.accumulate(pieces):
            page.draw(text, whole=False)
            if len(text) % 3 == 0:
                page.append_raw("raw")
        page.draw("".join(pieces), whole=True)
        MarkdownPage(document, look).draw("".join(pieces), whole=True)
        assert grown.toHtml() == document.toHtml()
        assert grown.blockCount() == document.blockCount()


@pytest.mark.parametrize("some", [PIECES, ("| a | b |\n|--:|---|\n", *ROWS, "word ", "**é𝄞** ")])
def test_a_page_drawn_in_pieces_looks_as_it_does_drawn_at_once(
    look: Look, some: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markdown, "PART_LINES", 2)
    for number in range(len(some)):
        pieces = [some[(number * 7 + at * at) % len(some)] for at in range(40)]
        grown, document = QTextDocument(), QTextDocument()
        page = MarkdownPage(grown, look)
        for turn, text in enumerate(itertools.accumulate(pieces)):
            page.draw(text, whole=False, at_most_s=0.0)
            for _ in range(turn % 3):
                page.go_on(0.0)
        page.draw("".join(pieces), whole=True, at_most_s=0.0)
        while page.unfinished:
            page.go_on(0.0)
        MarkdownPage(document, look).draw("".join(pieces), whole=True)
        assert grown.toHtml() == document.toHtml()


def test_long_code_that_ends_is_coloured_bit_by_bit(look: Look) -> None:
    document = QTextDocument()
    page = MarkdownPage(document, look)
    code = "x = 'text'  # remark\n" * 400
    page.draw(f"```python\n{code}", whole=False)
    page.draw(f"```python\n{code}```", whole=True, at_most_s=0.0)
    assert page.code("rigpanel:copy/0") == code.rstrip("\n"), "all of it can be copied already"
    pieces = 1
    while page.unfinished:
        page.go_on(0.0)
        pieces += 1
    assert pieces == 400 / markdown.PART_LINES
    assert document.toPlainText().count("remark") == 400


def test_a_string_over_two_parts_of_long_code_is_one_string(look: Look) -> None:
    document = QTextDocument()
    lines = ["x = 1", '"""', *["words"] * 100, '"""', "words"]
    MarkdownPage(document, look).draw("```python\n" + "\n".join(lines) + "\n```", whole=True)
    found = []
    cursor = document.find("words")
    while not cursor.isNull():
        found.append(cursor.charFormat().foreground().color().name())
        cursor = document.find("words", cursor)
    assert len(found) == 101
    assert len(set(found[:-1])) == 1
    assert found[-1] != found[0]


def test_only_the_end_of_a_growing_text_is_drawn_anew(look: Look) -> None:
    document = QTextDocument()
    page = MarkdownPage(document, look)
    text = "A paragraph.\n\n```python\nx = 1\n```\n\n- one\n- two\n\nThe last"
    page.draw(text, whole=False)
    document.documentLayout()  # without one nothing is told
    changed: list[int] = []
    document.contentsChange.connect(lambda at, *_: changed.append(at))
    page.draw(text + " one", whole=False)
    assert min(changed) >= document.toPlainText().index("The last") - 1


@pytest.mark.parametrize(
    ("begin", "piece"),
    [("", "Some **words** with `code`, $5 and more. "), ("|a|b|\n|-|-|\n", "| 12 | *x* and y |\n")],
)
def test_a_long_block_grows_by_its_end(look: Look, begin: str, piece: str) -> None:
    document = QTextDocument()
    page = MarkdownPage(document, look)
    document.documentLayout()
    gone: list[int] = []
    document.contentsChange.connect(lambda _at, less, _more: gone.append(less))
    text = begin
    for _ in range(200):
        text += piece
        page.draw(text, whole=False)
    assert max(gone[100:]) < 700, "no more than a part of a table, once"
    assert sum(gone) < 4 * len(text)
    whole_page = QTextDocument()
    MarkdownPage(whole_page, look).draw(text, whole=True)
    page.draw(text, whole=True)
    assert document.toHtml() == whole_page.toHtml()


def test_open_code_grows_by_its_last_line(look: Look) -> None:
    document = QTextDocument()
    page = MarkdownPage(document, look)
    text = "```python\n" + "x = 'text'  # remark\n" * 400
    page.draw(text, whole=False)
    document.documentLayout()
    gone: list[int] = []
    document.contentsChange.connect(lambda _at, less, _more: gone.append(less))
    page.draw(text + "y = 1", whole=False)
    page.draw(text + "y = 12\nz", whole=False)
    assert max(gone) < 60
    page.draw(text + "y = 12\nz\n```\nend", whole=True)
    assert document.toPlainText().endswith("y = 12\nz\nend")


@pytest.mark.parametrize(
    "latex",
    [
        r"$a_1 * b_2 * c_3$",
        r"$\frac{a}{b} \, dx$",
        r"\(x_i \cdot y_i\)",
        r"\[ \sum_{i=1}^{n} x_i \]",
        "$$\n\\begin{aligned}\n- a_1 &= b \\\\\n# c\n\\end{aligned}\n$$",
        "\\[\nE = mc^2\n\n\\text{and} 1\n\\]",
    ],
)
def test_latex_is_left_as_it_was_written(latex: str) -> None:
    leaves = whole(f"Before.\n\n{latex}\n\nAfter *it*.")
    assert latex.replace("\n", "") in shown(leaves[1:-1]).replace("\n", "")
    assert shown(leaves[-1:]) == "After it."


def test_prices_are_no_formulas() -> None:
    (leaf,) = whole("It costs $5, *not* $6 or $7.")
    assert shown([leaf]) == "It costs $5, not $6 or $7."
    assert [span.text for span in leaf.spans if span.italic] == ["not"]


def test_html_stays_text_and_no_image_is_fetched() -> None:
    leaves = whole("<img src='http://x/y.png'> ![i](http://x/y.png)\n\n<script>1</script>")
    assert shown(leaves) == "<img src='http://x/y.png'> !i\n<script>1</script>"


def test_lists_quotations_and_tables_are_leaves_with_their_depth() -> None:
    leaves = whole("3. a\n   - b\n\n> q\n\n| x |\n|---|\n| **y** |")
    first, second, quote, table = leaves
    assert (first.marker, first.depth) == ("3.", 1)
    assert (second.marker, second.depth) == ("•", 2)
    assert quote.quoted == 1
    assert [[span.text for cell in row for span in cell] for row in table.rows] == [["x"], ["y"]]


def test_a_tables_columns_stand_as_they_are_written(look: Look) -> None:
    document = QTextDocument()
    text = "| card | watts | word |\n|---|--:|:-:|\n| 0 | 312 | **hot** |\n| 1 |\n"
    page = MarkdownPage(document, look)
    for end in range(len(text) + 1):
        page.draw(text[:end], whole=False)
    page.draw(text, whole=True)
    (table,) = document.rootFrame().childFrames()
    assert isinstance(table, QTextTable)
    sides = [
        [
            table.cellAt(row, column).firstCursorPosition().blockFormat().alignment()
            & Qt.AlignmentFlag.AlignHorizontal_Mask
            for column in range(3)
        ]
        for row in range(3)
    ]
    plain, right, middle = (
        Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignHCenter
    )  # fmt: skip
    assert sides == [[plain, right, middle]] * 3


def test_nesting_without_end_does_no_harm(qtbot: QtBot, look: Look) -> None:
    document = QTextDocument()
    deep = "\n".join("  " * depth + "- x" for depth in range(40)) + "\n\n" + "> " * 60 + "q"
    MarkdownPage(document, look).draw(deep, whole=True)
    assert "q" in document.toPlainText()


def test_a_list_goes_on_counting_while_it_streams() -> None:
    reader = MarkdownReader(PARSER)
    markers: list[str] = []
    text = "".join(f"1. item {number}\n" for number in range(30))
    for end in range(len(text) + 1):
        stands, leaves = reader.read(text[:end], whole=False)
        markers[stands:] = [leaf.marker for leaf in leaves]
    assert markers == [f"{number}." for number in range(1, 31)]
    assert reader._from > len(text) - 60


def test_long_open_code_is_copied_whole(look: Look) -> None:
    code = "\n".join(f"line {number}" for number in range(130))
    page = MarkdownPage(QTextDocument(), look)
    for end in range(0, len(code), 50):
        page.draw(f"Before\n\n```\n{code[:end]}", whole=False)
    page.draw(f"Before\n\n```\n{code}", whole=False)
    assert page.code("rigpanel:copy/1") == code
    page.draw(f"Before\n\n```\n{code}\n```\nend", whole=True)
    assert page.code("rigpanel:copy/1") == code
    assert page.code("rigpanel:copy/99") == ""
