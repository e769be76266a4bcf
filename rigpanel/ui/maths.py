# SPDX-License-Identifier: MIT
"""LaTeX in Markdown: kept as it was written, so that no underscore or backslash is eaten."""

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_INLINE = re.compile(
    r"\$\$(?=\S)[^$]+?\$\$"
    # A dollar opens before a character and closes after one, and not before a digit: prices do not.
    r"|\$(?![\s$])(?:\\.|[^$\\\n])*?(?<!\s)\$(?!\d)"
    r"|\\\(.+?\\\)"
    r"|\\\[.+?\\\]",
    re.DOTALL,
)
_DISPLAY = {"$$": "$$", "\\[": "\\]"}


def plan_maths(markdown: MarkdownIt) -> None:
    """Teach a parser the tokens `maths` (a block) and `maths_inline`, each with its delimiters."""
    markdown.inline.ruler.before("escape", "maths", _inline)
    markdown.block.ruler.before(
        "fence", "maths", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = _INLINE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("maths_inline", "", 0).content = found.group()
    state.pos = found.end()
    return True


def _block(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    """Take lines from one that opens a display to the one that ends with what closes it."""
    if state.is_code_block(begin):
        return False
    first = _line(state, begin)
    close = _DISPLAY.get(first[:2])
    if close is None:
        return False
    alone = len(first) == 2
    last = begin
    rest = first[2:]
    while not rest.endswith(close):
        last += 1
        if last >= end or state.sCount[last] < state.blkIndent:
            break
        rest = _line(state, last)
        if not rest and not alone:
            return False
    else:
        if not silent:
            _push(state, begin, last + 1)
        return True
    if not alone:
        return False
    if not silent:  # still being written
        _push(state, begin, min(last, end))
    return True


def _push(state: StateBlock, begin: int, end: int) -> None:
    token = state.push("maths", "", 0)
    token.content = state.getLines(begin, end, state.blkIndent, keepLastLF=False).strip()
    token.map = [begin, end]
    state.line = end


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].rstrip()
