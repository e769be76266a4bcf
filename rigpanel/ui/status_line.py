# SPDX-License-Identifier: MIT
"""The status line: what the engine does, who holds the fans, what is simulated, what is wrong."""

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QWidget

from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.rig.readings import Missing
from rigpanel.ui.widgets import named
from rigpanel.watch.tick import Tick


class StatusLine(QFrame):
    """One line along the bottom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "status")
        self.engine, self.fans, self.rig, self.alerts = (QLabel() for _ in range(4))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 4, 12, 4)
        layout.setSpacing(24)
        layout.addWidget(self.engine)
        layout.addWidget(self.fans)
        layout.addStretch(1)
        layout.addWidget(self.rig)
        layout.addWidget(self.alerts)
        self.take_status(EngineStatus(EngineState.STOPPED))

    @Slot(object)
    def take_status(self, status: EngineStatus) -> None:
        """Show what the engine does."""
        model = status.model
        if status.state is EngineState.LOADING:
            text = "loading a model"
        elif model is None:
            text = "ended, see the chat" if status.problem else "no model loaded"
        else:
            where = ", ".join(use.device for use in model.devices) or "unknown device"
            doing = ", writing" if status.state is EngineState.GENERATING else ""
            text = f"{model.name} on {where}{doing}"
        self.engine.setText(f"Engine: {text}")

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        policies = {
            fan.policy
            for gpu in tick.snapshot.cards
            if not isinstance(gpu.fans, Missing)
            for fan in gpu.fans
        }
        if "manual" in policies:
            self.fans.setText("Fans: another program holds some in manual")
        elif "auto" in policies:
            self.fans.setText("Fans: the cards' own control")
        else:
            self.fans.setText("Fans: nothing to read")
        self.rig.setText("Simulated" if tick.snapshot.simulated else "")
        count = len(tick.standing)
        self.alerts.setText(f"{count} alert{'s' * (count > 1)}" if count else "No alerts")
