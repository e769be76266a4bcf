# SPDX-License-Identifier: MIT
"""Has the simulated cards do what the engine does: watts rise with the prompt, as on a real rig."""

from PySide6.QtCore import QObject, Slot

from rigpanel.engine.messages import EngineState, EngineStatus
from rigpanel.rig.simulated import UUIDS, SimulatedRig
from rigpanel.ui.bridges import EngineBridge

AT_REST, READING, WRITING = 0.04, 0.98, 0.62
"""Load of each card, as a share of its power: prefill keeps a card busier than decode does."""


class SimulatedWork(QObject):
    """While no model is loaded the rig's own story goes on."""

    def __init__(self, rig: SimulatedRig, engine: EngineBridge, parent: QObject) -> None:
        super().__init__(parent)
        self._rig = rig
        self._engine = engine
        engine.status_changed.connect(self._take_status)
        engine.text_ready.connect(self._take_text)

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        if status.state in {EngineState.STOPPED, EngineState.EMPTY}:
            self._rig.play_story()
            return
        if status.model is not None:
            held_mib = status.model.size_mib / len(UUIDS)
            self._rig.hold(self._engine.pid or 0, "rigpanel", held_mib)
        self._load(READING if status.state is EngineState.GENERATING else AT_REST)

    @Slot()
    def _take_text(self) -> None:
        if self._engine.status.state is EngineState.GENERATING:
            self._load(WRITING)

    def _load(self, share: float) -> None:
        self._rig.set_load([share] * len(UUIDS))
