# SPDX-License-Identifier: MIT
"""The two themes: every colour, size and font of the window is named here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one theme as `#rrggbb`; red, amber and green mean state and nothing else."""

    name: str
    background: str
    surface: str
    raised: str
    border: str
    text: str
    text_muted: str
    accent: str
    on_accent: str
    ok: str
    warm: str
    hot: str
    throttling: str
    lost: str
    prefill: str
    """Shade of prefill on a time axis."""
    decode: str
    """Shade of decode on a time axis."""
    grid: str
    cards: tuple[str, ...]
    """A colour a card, by its place in the list; the same in tile, chart, split bar and curve."""

    def card(self, index: int) -> str:
        """Colour of the card at `index`."""
        return self.cards[index % len(self.cards)]


DARK = Theme(
    name="dark",
    background="#12151a",
    surface="#191d24",
    raised="#222832",
    border="#2e3541",
    text="#e7eaf0",
    text_muted="#98a2b3",
    accent="#5b9dff",
    on_accent="#0b1220",
    ok="#46c08a",
    warm="#e8b040",
    hot="#ff5c5c",
    throttling="#ff8a4c",
    lost="#7f8898",
    prefill="#5b9dff",
    decode="#46c08a",
    grid="#2a303b",
    cards=(
        "#5aa7ff",
        "#d58bf0",
        "#3fd0c9",
        "#f28fb5",
        "#a9b6ff",
        "#8fd3ff",
        "#c9a27e",
        "#c3cad6",
    ),
)

LIGHT = Theme(
    name="light",
    background="#f3f5f8",
    surface="#ffffff",
    raised="#f7f9fb",
    border="#d5dbe4",
    text="#1b212b",
    text_muted="#5a6577",
    accent="#1a60d0",
    on_accent="#ffffff",
    ok="#137348",
    warm="#8a5700",
    hot="#c01c27",
    throttling="#b0480a",
    lost="#68707d",
    prefill="#1a60d0",
    decode="#137348",
    grid="#e3e8ef",
    cards=(
        "#1a60d0",
        "#9a3fc4",
        "#0e8f8a",
        "#c23a78",
        "#5a63d8",
        "#2f87b8",
        "#8a6238",
        "#5b6675",
    ),
)
