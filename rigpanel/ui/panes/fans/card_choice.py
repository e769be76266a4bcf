# SPDX-License-Identifier: MIT
"""Which card's curve is drawn: a button a card, with how it is now."""

from collections.abc import Mapping

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QWidget

from rigpanel.rig.readings import UNKNOWN_UUID, GpuSample
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.widgets import button, shrinkable
from rigpanel.ui.words import fans, reading

ALL_WORDS_PX, TEMPERATURE_PX = 168, 106
"""A button with less room leaves out words: the strip above tells them too."""


class CardChoice(QWidget):
    """The cards in a row."""

    card_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        shrinkable(self)
        self._buttons: dict[str, QPushButton] = {}
        self._words: dict[str, tuple[str, list[str]]] = {}
        self._group = QButtonGroup(self)
        self._group.buttonClicked.connect(self._clicked)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)
        self._row.addStretch(1)

    @property
    def chosen(self) -> str | None:
        """The card that is chosen, None while there is none."""
        for uuid, made in self._buttons.items():
            if made.isChecked():
                return uuid
        return None

    def show_cards(self, cards: tuple[GpuSample, ...], told: Mapping[str, CardTold]) -> None:
        """Show each card as it is now."""
        known = [card for card in cards if not card.uuid.startswith(UNKNOWN_UUID)]
        for card in known:
            made = self._buttons.get(card.uuid)
            if made is None:
                made = self._buttons[card.uuid] = button("", "segment")
                made.setCheckable(True)
                made.setChecked(len(self._buttons) == 1)
                self._group.addButton(made)
                self._row.insertWidget(self._row.count() - 1, made)
            trial = card.uuid in told and told[card.uuid].trial_left_s is not None
            words = [reading(card.temperature_c, "{:.0f} °C"), fans(card)]
            self._words[card.uuid] = (f"GPU {card.index}", ["on trial"] if trial else words)
            made.setToolTip(card.label)
        self._write()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave words out where there is no room for them."""
        super().resizeEvent(event)
        self._write()

    def _write(self) -> None:
        room_px = self.width() / max(len(self._buttons), 1)
        shown = 2 if room_px >= ALL_WORDS_PX else int(room_px >= TEMPERATURE_PX)
        for uuid, (name, words) in self._words.items():
            text = "   ".join([name, *words[:shown]])
            if self._buttons[uuid].text() != text:
                self._buttons[uuid].setText(text)

    @Slot(QPushButton)
    def _clicked(self, clicked: QPushButton) -> None:
        for uuid, made in self._buttons.items():
            if made is clicked:
                self.card_chosen.emit(uuid)
