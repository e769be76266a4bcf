# SPDX-License-Identifier: MIT
"""The status line: what the engine does, who holds the fans, what is simulated, what is wrong."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QWidget

from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.rig.readings import Missing
from rigpanel.ui.widgets import ElidedLabel, named, rename
from rigpanel.watch.tick import Tick


class StatusLine(QFrame):
    """One line along the bottom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "status")
        self.engine, self.fans, self.alerts = ElidedLabel(), QLabel(), QLabel()
        self.rig = named(QLabel(), "warm")
        self._held = False
        self.engine.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 5, 16, 5)
        row.setSpacing(24)
        row.addWidget(self.engine, 1)
        for part in (self.fans, self.rig, self.alerts):
            row.addWidget(part)
        self.take_status(EngineStatus(EngineState.STOPPED))

    @Slot(object)
    def take_status(self, status: EngineStatus) -> None:
        """Show what the engine does."""
        model = status.model
        if status.state is EngineState.LOADING:
            text = "loading a model"
        elif model is None:
            text = "ended, the chat says why" if status.problem else "no model loaded"
        else:
            where = ", ".join(use.device for use in model.devices) or "unknown device"
            doing = ", writing a reply" if status.state is EngineState.GENERATING else ""
            text = f"{model.name} ({model.file_type}) on {where}{doing}"
        self.engine.setText(f"Engine: {text}")
        self.engine.setToolTip(self.engine.text())

    @Slot(object)
    def take_helper(self, status: Mapping[str, Any]) -> None:
        """Keep whether the fan helper holds a fan by what it tells of its cards."""
        fans = [fan for gpu in status["gpus"] for fan in gpu["fans"] or ()]
        self._held = any(fan["held_by"] == "curve" for fan in fans)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        policies = {
            fan.policy
            for gpu in tick.snapshot.cards
            if not isinstance(gpu.fans, Missing)
            for fan in gpu.fans
        }
        if "manual" in policies and self._held:
            self.fans.setText("Fans: on the fan helper's curves")
        elif "manual" in policies:
            self.fans.setText("Fans: some are set by hand")
        elif "auto" in policies:
            self.fans.setText("Fans: the cards' own control")
        else:
            self.fans.setText("Fans: none to read")
        self.rig.setText("Simulated rig")
        self.rig.setVisible(tick.snapshot.simulated)
        count = len(tick.standing)
        self.alerts.setText(f"{count} alert{'s' * (count > 1)}" if count else "No alerts")
        rename(self.alerts, "standing" if count else "")
