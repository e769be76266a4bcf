# SPDX-License-Identifier: MIT
"""How Markdown's text looks in a theme: a format for every kind of span and code."""

from pygments.styles import get_style_by_name
from PySide6.QtGui import QColor, QFont, QTextCharFormat, QTextFormat

from rigpanel.ui.inline import Span
from rigpanel.ui.markdown import Leaf, make_parser
from rigpanel.ui.theme import Theme

MONO = [
    "JetBrains Mono",
    "DejaVu Sans Mono",
    "Noto Sans Mono",
    "Liberation Mono",
    "monospace",
]
HEADING_PX = (18, 16, 14, 13, 13, 13)


class Look:
    """Formats of one theme, made once for all messages."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self.parser = make_parser()
        self._code_style = get_style_by_name("github-dark" if theme.name == "dark" else "default")
        self._code: dict[object, QTextCharFormat] = {}
        self._spans: dict[tuple[object, ...], QTextCharFormat] = {}

    def span(self, span: Span, leaf: Leaf, *, muted: bool) -> QTextCharFormat:
        """Return the look of a stretch of text in a leaf."""
        quiet = muted or leaf.quoted > 0
        key = (span.bold, span.italic, span.struck, span.mono, leaf.kind, leaf.level, quiet)
        made = self._spans.get(key)
        if made is None:
            made = QTextCharFormat()
            made.setForeground(QColor(self.theme.text_muted if quiet else self.theme.text))
            if span.bold or leaf.kind == "heading":
                made.setFontWeight(QFont.Weight.DemiBold)
            made.setFontItalic(span.italic)
            made.setFontStrikeOut(span.struck)
            if leaf.kind == "heading":
                pixels = HEADING_PX[leaf.level - 1]
                made.setProperty(QTextFormat.Property.FontPixelSize.value, pixels)
            if span.mono:
                made.setFontFamilies(MONO)
                made.setProperty(QTextFormat.Property.FontPixelSize.value, 12)
                made.setBackground(QColor(self.theme.raised))
            self._spans[key] = made
        if span.link:
            made = QTextCharFormat(made)
            made.setAnchor(True)
            made.setAnchorHref(span.link)
            made.setToolTip(span.link)
            made.setForeground(QColor(self.theme.accent))
        return made

    def code(self, kind: object) -> QTextCharFormat:
        """Return the look of one of Pygments' kinds of token."""
        made = self._code.get(kind)
        if made is None:
            made = self.mono()
            style = self._code_style.style_for_token(kind)  # type: ignore[arg-type]
            if style["color"]:
                made.setForeground(QColor(f"#{style['color']}"))
            made.setFontItalic(bool(style["italic"]))
            if style["bold"]:
                made.setFontWeight(QFont.Weight.DemiBold)
            self._code[kind] = made
        return made

    def mono(self) -> QTextCharFormat:
        """Return plain text of even width."""
        made = QTextCharFormat()
        made.setFontFamilies(MONO)
        made.setProperty(QTextFormat.Property.FontPixelSize.value, 12)
        made.setForeground(QColor(self.theme.text))
        return made

    def small(self) -> QTextCharFormat:
        """Return the look of what stands above code."""
        made = QTextCharFormat()
        made.setProperty(QTextFormat.Property.FontPixelSize.value, 11)
        made.setForeground(QColor(self.theme.text_muted))
        return made
