# SPDX-License-Identifier: MIT
"""Reckons previews beside Qt's thread."""

import numpy as np
from PySide6.QtCore import QObject, Signal

from rigpanel.cooling.preview import Candidate
from rigpanel.cooling.recording import Recording, Row
from rigpanel.ui.answers import Answers
from rigpanel.ui.panes.fans.preview_text import preview_text
from rigpanel.watch.history import HistoryView, RigHistory

SPAN_S = 3600.0


class PreviewWork(QObject):
    """Of what is asked, only the newest is answered."""

    text_ready = Signal(str)

    def __init__(self, history: RigHistory, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._history = history
        self._answers = Answers(self)
        self._newest = 0

    def ask(self, candidate: Candidate, uuid: str, *, alone: bool) -> None:
        """Reckon what a curve would have done to a card in the last hour."""
        self._newest += 1
        number, recording = self._newest, recorded_of(self._history, uuid)

        def work() -> str | None:
            if number != self._newest:
                return None
            return preview_text(candidate, recording, alone=alone)

        def take(text: str | None) -> None:
            if text is not None and number == self._newest:
                self.text_ready.emit(text)

        self._answers.run(work, take, take)


def recorded_of(history: RigHistory, uuid: str) -> Recording:
    """Copy a card's last hour out of the rings, which go on turning."""
    since_s = history.now_s - SPAN_S
    view = history.card(uuid).since(since_s)
    time_s = view.time_s.copy()
    others_w = np.zeros(len(time_s))
    for other in history.uuids:
        if other != uuid:
            others_w += _held(time_s, history.card(other).since(since_s))
    return Recording(
        time_s,
        view.temperature_c.astype(np.float64),
        view.power_w.astype(np.float64),
        view.duty_pct.astype(np.float64),
        others_w,
    )


def _held(time_s: Row, view: HistoryView) -> Row:
    """Return a card's watts at other times, going on where they are missing."""
    known = np.isfinite(view.power_w)
    if not known.any():
        return np.zeros(len(time_s))
    return np.interp(time_s, view.time_s[known], view.power_w[known])
