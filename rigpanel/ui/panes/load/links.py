# SPDX-License-Identifier: MIT
"""How the cards are joined: a line between two of them, and a word where a slot runs narrow."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.ui.theme import Theme

LINK_H = 18
TIMES = "\N{MULTIPLICATION SIGN}"


def link_words(here: GpuSample, there: GpuSample) -> tuple[str, bool]:
    """Return how two cards reach each other, and whether that is a bridge."""
    nvlink = here.nvlink
    if not isinstance(nvlink, Missing) and there.uuid in nvlink.peers:
        lanes = f" · {nvlink.active} links" if len(nvlink.peers) == 1 else ""
        return f"NVLink{lanes}", True
    slots = list(dict.fromkeys((slot_words(here), slot_words(there))))
    return " and ".join(slots), False


def slot_words(card: GpuSample) -> str:
    """Return a card's slot; of its generation the best one: at rest it runs slower on purpose."""
    pcie = card.pcie
    if isinstance(pcie, Missing):
        return "PCIe unknown"
    gen = pcie.gen if isinstance(pcie.max_gen, Missing) else pcie.max_gen
    words = "PCIe" if isinstance(gen, Missing) else f"PCIe {gen}.0"
    return words if isinstance(pcie.width, Missing) else f"{words} {TIMES}{pcie.width}"


def narrow_slot(card: GpuSample) -> str:
    """Return a sentence where a card's slot runs narrower than it could, else nothing."""
    pcie = card.pcie
    if (
        isinstance(pcie, Missing)
        or isinstance(pcie.width, Missing)
        or isinstance(pcie.max_width, Missing)
        or not 0 < pcie.width < pcie.max_width
    ):
        return ""
    return (
        f"GPU {card.index} runs at {TIMES}{pcie.width} of {TIMES}{pcie.max_width}: loading and row "
        "or tensor split are slower. Look at its slot, its riser and the BIOS."
    )


class LinkLine(QWidget):
    """The link between a card and the next, drawn from bar to bar: double for a bridge."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._bridge = False
        self.words = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(LINK_H)

    def sizeHint(self) -> QSize:
        """Return its height; any width will do."""
        return QSize(160, LINK_H)

    def show_link(self, theme: Theme, here: GpuSample | None, there: GpuSample | None) -> None:
        """Show how two devices are joined; one that is lent is reached over the network."""
        self._theme = theme
        self.words, self._bridge = "network", False
        if here is not None and there is not None:
            self.words, self._bridge = link_words(here, there)
        self.setAccessibleName(f"Link to the next card: {self.words}")
        self.setToolTip(
            "An NVLink bridge joins the two cards"
            if self._bridge
            else "The two cards reach each other over this"
        )
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the line and what it is."""
        painter = QPainter(self)
        colour = QColor(self._theme.accent if self._bridge else self._theme.lost)
        painter.setPen(QPen(colour, 2))
        for at in (9, 14) if self._bridge else (11,):
            painter.drawLine(at, 0, at, LINK_H)
        font = self.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.text_muted))
        painter.drawText(
            QRectF(24, 0, self.width() - 24, LINK_H),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            self.words,
        )
        painter.end()
