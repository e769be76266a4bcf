# SPDX-License-Identifier: MIT
"""A reply's Markdown as HTML for a text browser, with highlighted code; safe for any text."""

import html

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from rigpanel.ui.theme import Theme


class MarkdownRenderer:
    """Turns Markdown into HTML in a theme's colours; HTML in the text stays text."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        style = "github-dark" if theme.name == "dark" else "default"
        self._formatter = HtmlFormatter(noclasses=True, nowrap=True, style=style)
        self._markdown = MarkdownIt(
            "commonmark", {"html": False, "highlight": self._highlight}, renderer_cls=RendererHTML
        ).enable("table")

    def to_html(self, text: str) -> str:
        """Return the HTML of one message."""
        return f"<style>{self._style()}</style>{self._markdown.render(text)}"

    def _highlight(self, code: str, language: str, _attributes: str) -> str:
        try:
            coloured = highlight(code, get_lexer_by_name(language or "text"), self._formatter)
        except ClassNotFound:
            coloured = html.escape(code)
        return f"<pre>{coloured}</pre>"

    def _style(self) -> str:
        t = self._theme
        mono = "'JetBrains Mono','DejaVu Sans Mono','Noto Sans Mono',monospace"
        return (
            f"body,p,li,td,th{{color:{t.text};line-height:140%}}"
            f"pre,code{{font-family:{mono};background-color:{t.raised}}}"
            f"a{{color:{t.accent}}} blockquote{{color:{t.text_muted}}}"
            "td,th{padding:2px 8px}"
        )
