# SPDX-License-Identifier: MIT
"""What is drawn for each card and fan, and what of it follows the helper."""

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.presets import BALANCED, COOL, QUIET
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.drawings import Drawings

HERE, THERE = ("GPU-0", None), ("GPU-1", None)


def told(curve: FanCurve | None, trial_left_s: float | None = None) -> dict[str, CardTold]:
    curves: dict[int | None, FanCurve] = {} if curve is None else {None: curve}
    return {"GPU-0": CardTold("GPU-0", curves, ("curve",), None, trial_left_s, persisted=False)}


def test_a_drawing_begins_with_what_is_in_force() -> None:
    drawings = Drawings()
    assert drawings.editor(THERE).curve == BALANCED
    drawings.take(told(COOL))
    assert drawings.editor(HERE).curve == COOL
    assert drawings.editor(("GPU-0", 1)).curve == COOL
    drawings.take(told(QUIET))
    assert drawings.editor(HERE).curve == QUIET
    assert not drawings.editor(HERE).can_undo


def test_a_copy_can_be_undone_to_what_is_in_force_there() -> None:
    drawings = Drawings()
    drawings.take(told(COOL))
    drawings.draw_on([HERE], QUIET)
    assert drawings.editor(HERE).curve == QUIET
    drawings.editor(HERE).undo()
    assert drawings.editor(HERE).curve == COOL


def test_whole_degrees_are_for_every_card_also_those_looked_at_later() -> None:
    drawings = Drawings()
    drawings.editor(HERE)
    drawings.set_snap(snap=False)
    for scope in (HERE, THERE):
        assert drawings.editor(scope).move(1, 60.4, 50.6) == (60.4, 50.6)


def test_a_trial_that_ran_out_is_noticed_once() -> None:
    drawings = Drawings()
    assert drawings.take(told(COOL, 3.0)) == set()
    assert drawings.take(told(QUIET)) == {"GPU-0"}
    assert drawings.take(told(QUIET)) == set()
