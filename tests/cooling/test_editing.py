# SPDX-License-Identifier: MIT
"""Curves drawn step by step, undone and done again; curves in files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.editing import CurveEditor
from rigpanel.cooling.presets import COOL, PRESETS
from rigpanel.cooling.saved_curves import SavedCurveError, SavedCurves, export_curve, import_curve
from tests.cooling.curves import curves

POINTS = ((40.0, 30.0), (60.0, 50.0), (80.0, 90.0))


@pytest.fixture
def editor() -> CurveEditor:
    return CurveEditor(FanCurve(POINTS))


def test_a_point_stops_at_its_neighbours(editor: CurveEditor) -> None:
    moved = [editor.move(1, 95, 99), editor.move(1, 10, 5), editor.move(2, 300, 300)]
    assert moved == [(79, 90), (41, 30), (110, 100)]


def test_it_snaps_unless_told_not_to(editor: CurveEditor) -> None:
    snapped = editor.move(1, 55.4, 44.6)
    editor.snap = False
    assert [snapped, editor.move(1, 55.4, 44.6)] == [(55, 45), (55.4, 44.6)]


def test_a_point_is_added_on_the_line_or_where_it_is_wanted(editor: CurveEditor) -> None:
    assert editor.add(50) == 1
    assert editor.add(70, 10) == 3
    assert editor.add(70) is None
    assert editor.add_after(4) == 4
    # 10 % at 70 °C is not to be had after 50 % at 60 °C
    assert list(editor.points[1:5]) == [(50, 40), (60, 50), (70, 50), (75, 70)]


def test_two_points_are_kept(editor: CurveEditor) -> None:
    assert editor.delete(0)
    assert editor.points == POINTS[1:]
    assert not editor.delete(0)


def test_a_drag_is_one_step(editor: CurveEditor) -> None:
    editor.begin_drag()
    for at_c in range(60, 70):
        editor.move(1, at_c, 60)
    editor.end_drag()
    editor.delete(0)
    editor.undo()
    assert list(editor.points) == [(40, 30), (69, 60), (80, 90)]
    editor.undo()
    assert list(editor.points) == list(POINTS)
    assert not editor.can_undo
    editor.redo()
    editor.redo()
    assert (list(editor.points), editor.can_redo) == ([(69, 60), (80, 90)], False)


@given(
    curves(),
    st.lists(
        st.tuples(
            st.sampled_from(["move", "add", "delete", "undo", "redo"]),
            st.integers(0, 15),
            st.floats(-50, 200),
            st.floats(-50, 200),
        ),
        max_size=30,
    ),
)
def test_whatever_is_done_it_stays_a_curve_and_can_all_be_undone(
    curve: FanCurve, doings: list[tuple[str, int, float, float]]
) -> None:
    editor = CurveEditor(curve)
    for what, place, at_c, duty_pct in doings:
        chosen = place % len(editor.points)
        if what == "move":
            editor.move(chosen, at_c, duty_pct)
        elif what == "add":
            editor.add(at_c, duty_pct)
        elif what == "delete":
            editor.delete(chosen)
        elif what == "undo":
            editor.undo()
        else:
            editor.redo()
        FanCurve(editor.points)  # raises for one that cannot be
    while editor.can_undo:
        editor.undo()
    assert editor.curve == curve


def test_a_curve_is_passed_on_in_a_file(tmp_path: Path) -> None:
    export_curve(tmp_path / "curve.json", COOL)
    assert import_curve(tmp_path / "curve.json") == COOL


@pytest.mark.parametrize(
    "text", ["", "[]", '{"points": [[40, 30], [60, 50]]}', '{"kind": "rigpanel fan curve"}']
)
def test_a_file_that_holds_no_curve_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(SavedCurveError, match=r"other\.json"):
        import_curve(tmp_path / "other.json")


def test_own_presets_are_kept_beside_those_that_came_with_it(tmp_path: Path) -> None:
    saved = SavedCurves(tmp_path / "own.json")
    saved.save(" Attic in summer ", FanCurve(POINTS))
    found = SavedCurves(tmp_path / "own.json").read()
    assert list(found) == [*PRESETS, "Attic in summer"]
    assert found["Attic in summer"] == FanCurve(POINTS)
    with pytest.raises(SavedCurveError, match="choose another"):
        saved.save("Quiet", COOL)
    with pytest.raises(SavedCurveError, match="1 to 60"):
        saved.save("  ", COOL)
