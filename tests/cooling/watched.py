# SPDX-License-Identifier: MIT
"""The helper's loop in the test's own process, over the fake driver."""

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.fan_hold import Holder
from rigpanel.cooling.loop import CoolingLoop
from rigpanel.rig.nvml_control import NvmlControl
from tests.fakes.nvml import FakeRig

CURVE = FanCurve(((40, 30), (60, 50), (75, 80), (84, 100)))


class Watched:
    """The loop over the fake driver in this process, a second at a time."""

    def __init__(self, rig: FakeRig) -> None:
        self.rig = rig
        self.now = 100.0
        self.apart_s = 0.0
        self.loop = CoolingLoop(
            NvmlControl(lambda: self.now), lambda: self.now, lambda: self.now + self.apart_s
        )
        self.loop.hand_back_all()

    def hold(self, card: int = 0) -> None:
        self.loop.set_curves(self.rig.uuid(card), {None: CURVE})
        self.tick()

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 1.0
            self.loop.tick()

    def duty(self, card: int = 0, fan: int = 0) -> int:
        return int(self.rig.card(card).fans[fan].duty_pct)

    def foreign(self, duty: int, fan: int = 0) -> None:
        """Set a fan as another program would."""
        state = self.rig.card(0).fans[fan]
        state.manual, state.duty_pct, state.target_pct = 1, duty, duty

    def holder(self, fan: int = 0) -> Holder:
        hold = self.loop.hold(self.rig.uuid(0), fan)
        assert hold is not None
        return hold.holder

    def trouble(self, fan: int = 0) -> str:
        hold = self.loop.hold(self.rig.uuid(0), fan)
        assert hold is not None
        return str(hold.trouble)
