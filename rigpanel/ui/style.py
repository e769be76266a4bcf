# SPDX-License-Identifier: MIT
"""The style sheet of a theme: every part of the window is known here by its object name."""

from rigpanel import paths
from rigpanel.ui.theme import Theme


def mix(top: str, under: str, share: float) -> str:
    """Return `share` (0 to 1) of one `#rrggbb` colour laid over another."""
    channels = (
        round(int(top[at : at + 2], 16) * share + int(under[at : at + 2], 16) * (1 - share))
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def style_sheet(theme: Theme) -> str:
    """Return the Qt style sheet of the whole application."""
    return _surfaces(theme) + _text(theme) + _buttons(theme) + _fields(theme) + _small_parts(theme)


def _icon(name: str, theme: Theme) -> str:
    return f'url("{paths.resource(f"icons/{name}-{theme.name}.svg").as_posix()}")'


def _surfaces(t: Theme) -> str:
    return f"""
QWidget {{ color: {t.text}; }}
QMainWindow, QWidget#page {{ background: {t.background}; }}
QFrame#card, QFrame#composer {{
  background: {t.surface}; border: 1px solid {t.border}; border-radius: 10px; }}
QFrame#bubble, QFrame#inset {{ background: {t.raised}; border: none; border-radius: 8px; }}
QFrame#composer[focused="true"] {{ border-color: {t.accent}; }}
QFrame#problem {{ background: {mix(t.hot, t.surface, 0.12)}; border: none; border-radius: 8px; }}
QFrame#drawer_left {{ border: none; border-right: 1px solid {t.border}; border-radius: 0; }}
QFrame#drawer_right {{ border: none; border-left: 1px solid {t.border}; border-radius: 0; }}
QAbstractScrollArea#transcript, QListWidget#conversations {{
  background: transparent; border: none; outline: none; }}
QListView#models {{ background: transparent; border: none; outline: none; }}
QListWidget#conversations::item {{ padding: 5px 8px; border-radius: 6px; color: {t.text}; }}
QListWidget#conversations::item:hover {{ background: {t.raised}; }}
QListWidget#conversations::item:selected {{
  background: {mix(t.accent, t.surface, 0.14)}; color: {t.text}; }}
QMenu {{ background: {t.surface}; border: 1px solid {t.border}; padding: 4px; }}
QMenu::item {{ padding: 5px 20px 5px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {mix(t.accent, t.surface, 0.2)}; }}
QFrame#line {{ background: {t.border}; border: none; max-height: 1px; }}
QFrame#banner {{ background: {t.surface}; border: 1px solid {t.border}; border-radius: 8px; }}
QFrame#banner QLabel {{ font-size: 12px; }}
QFrame#banner[tone="alert"] {{
  background: {mix(t.hot, t.surface, 0.16)}; border-color: {t.hot}; }}
QFrame#banner[tone="alert"] QLabel {{ font-size: 13px; font-weight: 600; }}
QFrame#banner[tone="simulated"] {{
  background: {mix(t.warm, t.surface, 0.10)}; border-color: {mix(t.warm, t.surface, 0.45)}; }}
QFrame#banner[tone="simulated"] QLabel {{ color: {t.warm}; }}
QFrame#rail {{ background: {t.surface}; border: none; border-right: 1px solid {t.border}; }}
QFrame#status {{ background: {t.surface}; border: none; border-top: 1px solid {t.border}; }}
QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; border: none; }}
QTextBrowser {{ background: transparent; border: none; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.border}; padding: 4px; }}
"""


def _text(t: Theme) -> str:
    return f"""
QLabel {{ background: transparent; }}
QLabel#title {{ font-size: 15px; font-weight: 600; }}
QLabel#strong {{ font-weight: 600; }}
QLabel#section {{ font-size: 12px; font-weight: 600; color: {t.text_muted}; }}
QLabel#field {{ font-size: 12px; color: {t.text_muted}; }}
QLabel#muted {{ font-size: 12px; color: {t.text_muted}; }}
QLabel#empty {{ font-size: 13px; color: {t.text_muted}; }}
QLabel#error {{ color: {t.hot}; }}
QLabel#warm {{ font-size: 12px; color: {t.warm}; }}
QLabel#command {{ font-size: 11px; color: {t.text}; }}
QLabel#standing {{ font-size: 12px; font-weight: 600; color: {t.hot}; }}
QFrame#status QLabel {{ color: {t.text_muted}; font-size: 12px; }}
QFrame#status QLabel#warm {{ color: {t.warm}; font-weight: 600; }}
QFrame#status QLabel#standing {{ color: {t.hot}; }}
"""


def _buttons(t: Theme) -> str:
    return f"""
QToolButton#rail_button {{
  border: none; border-radius: 8px; padding: 8px 4px; color: {t.text_muted}; font-size: 11px; }}
QToolButton#rail_button:hover {{ background: {t.raised}; color: {t.text}; }}
QToolButton#rail_button:checked {{
  background: {mix(t.accent, t.surface, 0.14)}; color: {t.accent}; font-weight: 600; }}
QToolButton#rail_button:focus {{ border: 1px solid {t.accent}; }}
QPushButton {{
  background: {t.raised}; border: 1px solid {t.border}; border-radius: 6px; padding: 5px 12px;
  min-height: 18px; }}
QPushButton:hover {{ border-color: {t.text_muted}; }}
QPushButton:pressed {{ background: {t.border}; }}
QPushButton:focus {{ border-color: {t.accent}; }}
QPushButton:disabled {{ color: {t.lost}; background: transparent; }}
QPushButton#primary {{
  background: {t.accent}; color: {t.on_accent}; border-color: {t.accent}; font-weight: 600; }}
QPushButton#primary:hover {{ background: {mix(t.text, t.accent, 0.12)}; }}
QPushButton#primary:focus {{ border-color: {t.text}; }}
QPushButton#primary:disabled {{
  background: {t.raised}; color: {t.lost}; border-color: {t.border}; }}
QPushButton#link {{
  border: none; background: transparent; color: {t.accent}; padding: 2px 0; text-align: left; }}
QPushButton#link:hover, QPushButton#link:focus {{ text-decoration: underline; }}
QPushButton#link:disabled {{ color: {t.lost}; }}
QPushButton#quiet {{
  border: none; background: transparent; color: {t.text_muted}; padding: 0 2px; font-size: 12px;
  min-height: 16px; text-align: left; }}
QPushButton#quiet:hover, QPushButton#quiet:focus {{ color: {t.accent}; }}
QPushButton#quiet:focus {{ text-decoration: underline; }}
QPushButton#quiet:disabled {{ color: {t.border}; }}
QPushButton#jump {{ border-radius: 14px; font-size: 12px; padding: 4px 14px; }}
QPushButton#segment {{ padding: 2px 9px; font-size: 12px; color: {t.text_muted}; }}
QPushButton#segment:checked {{ color: {t.accent}; border-color: {t.accent}; }}
QPushButton#segment:disabled {{ color: {t.lost}; }}
QPushButton#fold {{
  padding: 0; border: none; background: transparent; color: {t.text_muted}; font-size: 15px; }}
QPushButton#fold:hover, QPushButton#fold:focus {{ background: {t.raised}; color: {t.text}; }}
"""


def _fields(t: Theme) -> str:
    up, down, right, check = (_icon(name, t) for name in ("up", "down", "right", "check"))
    spins = "QSpinBox, QDoubleSpinBox"
    return f"""
QLineEdit, {spins}, QComboBox, QPlainTextEdit {{
  background: {t.background}; border: 1px solid {t.border}; border-radius: 6px; padding: 4px 8px;
  selection-background-color: {t.accent}; selection-color: {t.on_accent}; min-height: 20px; }}
QAbstractSpinBox QLineEdit {{
  background: transparent; border: none; border-radius: 0; padding: 0; min-height: 0; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{
  border-color: {t.accent}; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{
  color: {t.lost}; background: {t.surface}; }}
{spins} {{ padding-right: 22px; }}
QSpinBox::up-button, QDoubleSpinBox::up-button {{
  subcontrol-origin: border; subcontrol-position: top right; width: 20px; border: none; }}
QSpinBox::down-button, QDoubleSpinBox::down-button {{
  subcontrol-origin: border; subcontrol-position: bottom right; width: 20px; border: none; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: {up}; width: 10px; height: 10px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: {down}; width: 10px; height: 10px; }}
QComboBox::drop-down {{
  subcontrol-origin: border; subcontrol-position: center right; width: 24px; border: none; }}
QComboBox::down-arrow {{ image: {down}; width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{
  background: {t.surface}; border: 1px solid {t.border}; padding: 4px; outline: none;
  selection-background-color: {mix(t.accent, t.surface, 0.2)}; selection-color: {t.text}; }}
QFrame#composer QPlainTextEdit {{ border: none; background: transparent; padding: 2px; }}
QTableWidget#points {{
  background: {t.background}; border: 1px solid {t.border}; border-radius: 6px; outline: none;
  selection-background-color: {mix(t.accent, t.surface, 0.2)}; selection-color: {t.text}; }}
QTableWidget#points:focus {{ border-color: {t.accent}; }}
QTableWidget#points QHeaderView, QTableWidget#points QHeaderView::section {{
  background: transparent; border: none; color: {t.text_muted}; font-size: 12px; }}
QTableWidget#points QLineEdit {{ padding: 0; border-radius: 0; min-height: 0; }}
QFrame#banner[tone="trial"] {{
  background: {mix(t.accent, t.surface, 0.14)}; border-color: {t.accent}; }}
QFrame#banner[tone="trial"] QLabel {{ font-size: 13px; }}
QCheckBox {{ spacing: 8px; }}
QCheckBox::indicator {{
  width: 16px; height: 16px; border: 1px solid {t.text_muted}; border-radius: 4px;
  background: {t.background}; }}
QCheckBox::indicator:checked {{
  background: {t.accent}; border-color: {t.accent}; image: {check}; }}
QCheckBox::indicator:focus {{ border-color: {t.text}; }}
QCheckBox#fold_head {{ spacing: 6px; font-weight: 600; padding: 5px 0; }}
QCheckBox#fold_head:focus {{ color: {t.accent}; }}
QCheckBox#fold_head::indicator {{
  width: 12px; height: 12px; border: none; background: transparent; image: {right}; }}
QCheckBox#fold_head::indicator:checked {{ image: {down}; }}
"""


def _small_parts(t: Theme) -> str:
    return f"""
QSlider::groove:horizontal {{ height: 4px; background: {t.border}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{
  background: {t.accent}; width: 14px; margin: -5px 0; border-radius: 7px; }}
QSlider::handle:horizontal:focus {{ background: {t.text}; }}
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled {{
  background: {t.lost}; }}
QProgressBar {{
  background: {t.background}; border: 1px solid {t.border}; border-radius: 6px; height: 20px;
  text-align: center; font-size: 12px; }}
QProgressBar::chunk {{ background: {mix(t.accent, t.surface, 0.6)}; border-radius: 5px; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{
  background: {t.border}; border-radius: 4px; min-height: 24px; min-width: 24px; margin: 1px; }}
QScrollBar::handle:hover {{ background: {t.lost}; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
  background: none; border: none; height: 0; width: 0; }}
QSplitter::handle:horizontal {{
  background: {t.border}; margin: 120px 3px; border-radius: 1px; }}
QSplitter::handle:horizontal:hover {{ background: {t.accent}; }}
"""
