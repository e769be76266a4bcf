# SPDX-License-Identifier: MIT
"""Banners: what must be known before anything else on the page."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from rigpanel.ui.widgets import button, column, label, named
from rigpanel.watch.tick import Tick

SIMULATED = "Simulated rig: the cards exist only in software, and nothing of theirs is measured."
ON_CPU = " Until then models run on the CPU."
MOST_ALERTS = 3


class Banner(QFrame):
    """One sentence that stays while it is true, and perhaps what can be done about it."""

    def __init__(
        self, tone: str, action: QPushButton | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        named(self, "banner")
        self.setProperty("tone", tone)
        inside = QHBoxLayout(self)
        inside.setContentsMargins(12, 6, 12, 6)
        inside.setSpacing(8)
        self._label = label("")
        inside.addWidget(self._label, 1)
        if action is not None:
            inside.addWidget(action)
        self.hide()

    def say(self, sentence: str) -> None:
        """Show a sentence; an empty one hides the banner."""
        if sentence != self._label.text():
            self._label.setText(sentence)
        self.setVisible(bool(sentence))

    @property
    def sentence(self) -> str:
        """What it says."""
        return self._label.text()


class Banners(QWidget):
    """The banners of the window: alerts, the driver's trouble, the simulated rig."""

    demo_requested = Signal()
    """Whoever has no card wants to look around on a simulated rig."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look_around = button(
            "Look around on a simulated rig",
            tip="Opens the panel anew with two simulated cards; settings and conversations stay.\n"
            "To come back, quit it (Ctrl+Q) and start it again.",
        )
        self.look_around.clicked.connect(self.demo_requested)
        self.alert = Banner("alert")
        self.driver = Banner("driver", self.look_around)
        self.simulated = Banner("simulated")
        rows = column(spacing=8)
        self.setLayout(rows)
        for banner in (self.alert, self.driver, self.simulated):
            rows.addWidget(banner)
        self.hide()

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Say what one reading of the rig calls for."""
        sentences = [alert.sentence for alert in tick.standing]
        if len(sentences) > MOST_ALERTS:
            more = len(sentences) - MOST_ALERTS
            sentences[MOST_ALERTS:] = [f"And {more} more, see Alerts."]
        problem = tick.snapshot.driver_problem
        self.alert.say("\n".join(sentences))
        self.driver.say("" if problem is None else problem + ON_CPU)
        self.look_around.setVisible(not tick.snapshot.cards)
        self.simulated.say(SIMULATED if tick.snapshot.simulated else "")
        self.setVisible(bool(sentences) or bool(problem) or tick.snapshot.simulated)
