# SPDX-License-Identifier: MIT
"""Banners: what must be known before anything else on the page."""

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from rigpanel.ui.widgets import label, named
from rigpanel.watch.tick import Tick

SIMULATED = "Simulated rig: two RTX 3090s in software. No figure of the cards here is measured."


class Banner(QFrame):
    """One sentence that stays while it is true."""

    def __init__(self, tone: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "banner")
        self.setProperty("tone", tone)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 6, 12, 6)
        self._label: QLabel = label("")
        layout.addWidget(self._label, 1)
        self.hide()

    def say(self, sentence: str) -> None:
        """Show a sentence; an empty one hides the banner."""
        self._label.setText(sentence)
        self.setVisible(bool(sentence))

    @property
    def sentence(self) -> str:
        """What it says."""
        return self._label.text()


class Banners(QWidget):
    """The banners of the window: alerts, the driver's trouble, the simulated rig."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.alert = Banner("alert")
        self.driver = Banner("driver")
        self.simulated = Banner("simulated")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for banner in (self.alert, self.driver, self.simulated):
            layout.addWidget(banner)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Say what one reading of the rig calls for."""
        self.alert.say("\n".join(alert.sentence for alert in tick.standing))
        problem = tick.snapshot.driver_problem
        cpu = " Models run on the CPU meanwhile."
        self.driver.say("" if problem is None else problem + cpu)
        self.simulated.say(SIMULATED if tick.snapshot.simulated else "")
        self.setVisible(bool(tick.standing) or bool(problem) or tick.snapshot.simulated)
