# SPDX-License-Identifier: MIT
"""A buffer that is given out and taken back, and graphs that live in one."""

from hypothesis import given
from hypothesis import strategies as st

from rigpanel.fit.graph import Arena, Graph


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 10)), max_size=60))
def test_nothing_that_lives_overlaps_and_all_given_back_is_one_gap_again(
    steps: list[tuple[int, int]],
) -> None:
    arena, living = Arena(128), dict[int, int]()
    for size, freed in steps:
        at = arena.take(size)
        end = at + arena.round_up(size)
        assert at % 128 == 0
        assert end <= arena.peak
        assert all(end <= other or other + arena.round_up(n) <= at for other, n in living.items())
        living[at] = size
        if freed < len(living):
            gone = list(living)[freed]
            arena.give_back(gone, living.pop(gone))
    for at, size in living.items():
        arena.give_back(at, size)
    peak = arena.peak
    assert arena.take(max(peak, 1)) == 0


def test_a_result_lives_until_its_last_use() -> None:
    graph = Graph()
    first = graph.input(1024)
    second = graph.add(1024, first)
    third = graph.add(1024, first, second)
    graph.add(1024, third)
    assert graph.peak() == 3 * 1024


def test_a_result_is_written_over_what_nothing_else_needs() -> None:
    graph = Graph()
    first = graph.input(1024)
    graph.add(1024, graph.add(1024, first, inplace=True), inplace=True)
    assert graph.peak() == 1024


def test_what_something_else_needs_is_not_written_over() -> None:
    graph = Graph()
    first = graph.input(1024)
    second = graph.add(1024, first, inplace=True)
    graph.add(1024, first, second)
    assert graph.peak() == 3 * 1024


def test_a_lasting_input_is_never_given_back() -> None:
    graph = Graph()
    first = graph.input(1024, lasting=True)
    graph.add(1024, graph.add(512, first))
    assert graph.peak() == 1024 + 512 + 1024
