# SPDX-License-Identifier: MIT
"""A reply's Markdown as HTML for a text browser, with highlighted code; safe for any text."""

import html
from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from rigpanel.ui.theme import Theme

MONO = "'JetBrains Mono','DejaVu Sans Mono','Noto Sans Mono','Liberation Mono',monospace"


class _Html(RendererHTML):
    """HTML as Qt's rich text understands it; markdown-it finds the rules by their names."""

    def __init__(self, parser: object = None) -> None:
        super().__init__(parser)
        self.background = ""
        self.formatter = HtmlFormatter[str]()

    def fence(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,  # noqa: ARG002 - the signature of every rule
        env: MutableMapping[str, Any],  # noqa: ARG002
    ) -> str:
        """Return a block of code in colours, on a ground of its own."""
        words = tokens[idx].info.split()
        code = tokens[idx].content.rstrip("\n")
        try:
            lexer = get_lexer_by_name(words[0] if words else "text", stripnl=False)
            inside = highlight(code, lexer, self.formatter).rstrip("\n")
        except ClassNotFound:
            inside = html.escape(code)
        # A table, because Qt's rich text pads and fills cells, not paragraphs.
        return (
            f'<table width="100%" cellspacing="0" bgcolor="{self.background}">'
            '<tr><td style="padding:10px"><pre style="margin:0;white-space:pre-wrap">'
            f"{inside}</pre></td></tr></table>"
            "<p style='margin:0;font-size:4px'>&nbsp;</p>"
        )

    code_block = fence


class MarkdownRenderer:
    """Turns Markdown into HTML in a theme's colours; HTML in the text stays text."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._markdown = MarkdownIt("commonmark", {"html": False})
        self._markdown.enable("table")
        self._markdown.disable("image")  # nothing is fetched because a model says so
        renderer = _Html()
        renderer.background = theme.raised
        style = "github-dark" if theme.name == "dark" else "default"
        renderer.formatter = HtmlFormatter(noclasses=True, nowrap=True, style=style)
        self._markdown.renderer = renderer

    def to_html(self, text: str) -> str:
        """Return the HTML of one message."""
        return f"<style>{self._style()}</style>{self._markdown.render(text).rstrip()}"

    def _style(self) -> str:
        t = self._theme
        return (
            f"body,p,li,td,th{{color:{t.text};line-height:140%}}"
            "p{margin-top:0;margin-bottom:8px} li{margin-bottom:2px}"
            "b,strong,th,h1,h2,h3,h4,h5,h6{font-weight:600}"
            "h1{font-size:18px}h2{font-size:16px}h3{font-size:14px}h4,h5,h6{font-size:13px}"
            f"pre,code{{font-family:{MONO};font-size:12px;background-color:{t.raised}}}"
            f"a{{color:{t.accent}}} blockquote{{color:{t.text_muted}}}"
            "td,th{padding:3px 10px 3px 0;text-align:left}"
        )
