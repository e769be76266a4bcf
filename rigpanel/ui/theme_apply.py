# SPDX-License-Identifier: MIT
"""Puts a theme on the application: font, palette and style sheet."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from rigpanel import paths
from rigpanel.ui.theme import DARK, LIGHT, Theme

FONT_FILES = ("Inter-Regular.otf", "Inter-SemiBold.otf")
FONT_PX = 13


def choose_theme(app: QApplication, choice: str) -> Theme:
    """Return the theme for `system`, `dark` or `light`; the desktop decides for `system`."""
    if choice == "system":
        scheme = app.styleHints().colorScheme()
        return LIGHT if scheme == Qt.ColorScheme.Light else DARK
    return LIGHT if choice == "light" else DARK


def apply_theme(app: QApplication, choice: str) -> Theme:
    """Put the theme for `choice` on the whole application and return it."""
    theme = choose_theme(app, choice)
    if "Inter" not in QFontDatabase.families():
        for name in FONT_FILES:
            QFontDatabase.addApplicationFont(str(paths.resource(f"fonts/{name}")))
    font = QFont("Inter")
    font.setPixelSize(FONT_PX)
    font.setFeature(QFont.Tag("tnum"), 1)
    app.setFont(font)
    app.setStyle(QStyleFactory.create("Fusion"))
    app.setPalette(_palette(theme))
    app.setStyleSheet(_style(theme))
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


def _style(t: Theme) -> str:
    return f"""
QWidget {{ color: {t.text}; }}
QMainWindow, QWidget#page {{ background: {t.background}; }}
QFrame#card, QFrame#composer {{
  background: {t.surface}; border: 1px solid {t.border}; border-radius: 10px; }}
QFrame#composer:focus-within {{ border-color: {t.accent}; }}
QLabel {{ background: transparent; }}
QLabel#title {{ font-size: 15px; font-weight: 600; }}
QLabel#section {{ font-size: 11px; font-weight: 600; color: {t.text_muted}; }}
QLabel#muted {{ color: {t.text_muted}; }}
QLabel#big {{ font-size: 20px; font-weight: 600; }}
QLabel#error {{ color: {t.hot}; }}
QFrame#banner {{ background: {t.raised}; border: 1px solid {t.border}; border-radius: 8px; }}
QFrame#banner[tone="alert"] {{ background: {t.hot}; border-color: {t.hot}; }}
QFrame#banner[tone="alert"] QLabel {{ color: {"#ffffff" if t.name == "light" else t.on_accent}; }}
QFrame#banner[tone="simulated"] {{ border-color: {t.warm}; }}
QFrame#banner[tone="simulated"] QLabel {{ color: {t.warm}; font-weight: 600; }}
QFrame#rail {{ background: {t.surface}; border-right: 1px solid {t.border}; }}
QToolButton#rail_button {{
  border: none; border-radius: 8px; padding: 8px 4px; color: {t.text_muted}; font-size: 11px; }}
QToolButton#rail_button:hover {{ background: {t.raised}; color: {t.text}; }}
QToolButton#rail_button:checked {{ background: {t.raised}; color: {t.accent}; font-weight: 600; }}
QFrame#status {{ background: {t.surface}; border-top: 1px solid {t.border}; }}
QFrame#status QLabel {{ color: {t.text_muted}; font-size: 12px; }}
QPushButton {{
  background: {t.raised}; border: 1px solid {t.border}; border-radius: 6px; padding: 6px 12px; }}
QPushButton:hover {{ border-color: {t.text_muted}; }}
QPushButton:focus {{ border-color: {t.accent}; }}
QPushButton:disabled {{ color: {t.lost}; background: transparent; }}
QPushButton#primary {{
  background: {t.accent}; color: {t.on_accent}; border-color: {t.accent}; font-weight: 600; }}
QPushButton#primary:disabled {{
  background: {t.raised}; color: {t.lost}; border-color: {t.border}; }}
QPushButton#link {{ border: none; background: transparent; color: {t.accent}; padding: 2px 0; }}
QPushButton#segment {{ padding: 3px 9px; font-size: 12px; color: {t.text_muted}; }}
QPushButton#segment:checked {{ color: {t.accent}; border-color: {t.accent}; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit {{
  background: {t.background}; border: 1px solid {t.border}; border-radius: 6px; padding: 4px 8px;
  selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{
  border-color: {t.accent}; }}
QFrame#composer QPlainTextEdit {{ border: none; background: transparent; padding: 2px; }}
QComboBox QAbstractItemView {{ background: {t.surface}; border: 1px solid {t.border}; }}
QSlider::groove:horizontal {{ height: 4px; background: {t.border}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{
  background: {t.accent}; width: 14px; margin: -5px 0; border-radius: 7px; }}
QProgressBar {{
  background: {t.background}; border: 1px solid {t.border}; border-radius: 6px; height: 16px;
  text-align: center; font-size: 11px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 5px; }}
QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: {t.border}; border-radius: 4px; min-height: 24px; min-width: 24px;
  margin: 1px; }}
QScrollBar::handle:hover {{ background: {t.lost}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
  background: none; border: none; height: 0; width: 0; }}
QSplitter::handle {{ background: transparent; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.border}; padding: 4px; }}
QCheckBox {{ spacing: 8px; }}
QTextBrowser {{ background: transparent; border: none; }}
"""
