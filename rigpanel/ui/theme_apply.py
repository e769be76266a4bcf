# SPDX-License-Identifier: MIT
"""Puts a theme on the application: font, palette and style sheet."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from rigpanel import paths
from rigpanel.ui.style import style_sheet
from rigpanel.ui.theme import DARK, LIGHT, Theme

FONT_FILES = ("Inter-Regular.otf", "Inter-SemiBold.otf")
FAMILY = "Inter"
FONT_PX = 13


def choose_theme(app: QApplication, choice: str) -> Theme:
    """Return the theme for `system`, `dark` or `light`; the desktop decides for `system`."""
    if choice == "system":
        scheme = app.styleHints().colorScheme()
        return LIGHT if scheme == Qt.ColorScheme.Light else DARK
    return LIGHT if choice == "light" else DARK


def apply_theme(app: QApplication, choice: str) -> Theme:
    """Put the theme for `choice` on the whole application and return it."""
    theme = lay_ground(app, choice)
    app.setStyleSheet(style_sheet(theme))
    return theme


def lay_ground(app: QApplication, choice: str) -> Theme:
    """Set what a window is built with: font and palette; its style sheet comes when it is whole.

    Under a style sheet every widget that moves into a layout is polished anew, which doubles the
    time a window takes to build.
    """
    theme = choose_theme(app, choice)
    if FAMILY not in QFontDatabase.families():
        for name in FONT_FILES:
            QFontDatabase.addApplicationFont(str(paths.resource(f"fonts/{name}")))
    if app.font().family() != FAMILY:  # once: each of the two lays every widget out anew
        font = QFont(FAMILY)
        font.setPixelSize(FONT_PX)
        font.setFeature(QFont.Tag("tnum"), 1)
        app.setFont(font)
        app.setStyle(QStyleFactory.create("Fusion"))
    app.setPalette(_palette(theme))
    return theme


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in (
        (roles.Window, theme.background),
        (roles.Base, theme.surface),
        (roles.AlternateBase, theme.raised),
        (roles.Button, theme.raised),
        (roles.WindowText, theme.text),
        (roles.Text, theme.text),
        (roles.ButtonText, theme.text),
        (roles.ToolTipBase, theme.raised),
        (roles.ToolTipText, theme.text),
        (roles.PlaceholderText, theme.text_muted),
        (roles.Highlight, theme.accent),
        (roles.HighlightedText, theme.on_accent),
        (roles.Link, theme.accent),
    ):
        palette.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.lost))
    return palette
