# SPDX-License-Identifier: MIT
"""The simulated rig works while the engine does, and holds what is loaded."""

from pathlib import Path

from PySide6.QtCore import QObject

from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineState,
    EngineStatus,
    ReplyFinished,
    Sampling,
    TextGenerated,
)
from rigpanel.rig.host import HostReader
from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.rig.simulated import SimulatedRig
from rigpanel.ui.bridges import EngineBridge
from rigpanel.ui.simulated_work import SimulatedWork
from tests.ui.conftest import Run
from tests.ui.window_fixtures import STATS, ScriptedEngine, until

HELLO = ChatRequest((ChatMessage("user", "Hello"),), Sampling())


class Rig:
    def __init__(self) -> None:
        self.now = 1000.0
        self.rig = SimulatedRig(lambda: self.now, HostReader(Path("/nonexistent")))

    def card(self) -> GpuSample:
        self.now += 5.0
        return self.rig.read().cards[0]

    def watts(self) -> float:
        power_w = self.card().power_draw_w
        assert not isinstance(power_w, Missing)
        return power_w


def test_watts_follow_the_reply(run: Run) -> None:
    async def scenario() -> None:
        engine, rig = ScriptedEngine(), Rig()
        bridge = EngineBridge(engine)
        owner = QObject()
        SimulatedWork(rig.rig, bridge, owner)
        rig.now += 20.0
        assert rig.watts() > 150, "with no model loaded somebody else's work is played"
        engine.make_ready()
        at_rest_w = rig.watts()
        assert at_rest_w < 60
        bridge.send(HELLO)
        await until(lambda: engine.status.state is EngineState.GENERATING, "it reads")
        reading_w = rig.watts()
        assert reading_w > 320
        engine.events.put_nowait(TextGenerated("a", 1))
        await until(lambda: rig.watts() < reading_w - 50, "it writes")
        assert rig.watts() > 150
        engine.events.put_nowait(ReplyFinished(STATS))
        await until(lambda: rig.watts() < 60, "it rests")
        await bridge.shutdown()

    run(scenario())


def test_memory_is_what_is_loaded(run: Run) -> None:
    async def scenario() -> None:
        engine, rig = ScriptedEngine(), Rig()
        bridge = EngineBridge(engine)
        owner = QObject()
        SimulatedWork(rig.rig, bridge, owner)
        before = rig.card()
        engine.make_ready()
        card = rig.card()
        assert not isinstance(before.memory_used_mib, Missing)
        assert not isinstance(card.memory_used_mib, Missing)
        assert card.memory_used_mib - before.memory_used_mib > 19_000
        assert not isinstance(card.processes, Missing)
        assert [process.name for process in card.processes] == ["rigpanel"]
        engine.put(EngineStatus(EngineState.EMPTY))
        assert rig.card().memory_used_mib == before.memory_used_mib
        await bridge.shutdown()

    run(scenario())
