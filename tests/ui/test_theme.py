# SPDX-License-Identifier: MIT
"""Both themes can be read: text stands out from what it stands on."""

import math

import pytest
from PySide6.QtGui import QColor

from rigpanel.ui.style import mix
from rigpanel.ui.theme import DARK, LIGHT, Theme

SMALL_TEXT = 4.5
"""Least contrast of small text, by the Web Content Accessibility Guidelines 2.2, 1.4.3."""
LINES = 3.0
"""The same for lines of a chart, 1.4.11."""


def luminance(colour: str) -> float:
    seen = QColor(colour)
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else math.pow((share + 0.055) / 1.055, 2.4)
        for share in (seen.redF(), seen.greenF(), seen.blueF())
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_words_stand_out_from_their_ground(theme: Theme) -> None:
    for ground in (theme.background, theme.surface, theme.raised):
        for text in (theme.text, theme.text_muted, theme.accent, theme.warm, theme.hot, theme.ok):
            assert contrast(text, ground) >= SMALL_TEXT, (text, ground)
    for word in (theme.throttling, theme.lost):
        assert contrast(word, theme.surface) >= SMALL_TEXT
    tints = ((theme.warm, 0.10), (theme.hot, 0.12), (theme.accent, 0.14))
    for word, share in tints:  # a banner, a problem, the page that is shown
        assert contrast(word, mix(word, theme.surface, share)) >= SMALL_TEXT
    assert contrast(theme.on_accent, theme.accent) >= SMALL_TEXT
    assert contrast(theme.background, theme.warm) >= SMALL_TEXT  # what was found
    assert contrast(theme.text, mix(theme.warm, theme.surface, 0.3)) >= SMALL_TEXT


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_each_card_has_a_line_of_its_own(theme: Theme) -> None:
    assert len(set(theme.cards)) == 8
    for colour in theme.cards:
        assert contrast(colour, theme.surface) >= LINES
