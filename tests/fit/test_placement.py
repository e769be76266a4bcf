# SPDX-License-Identifier: MIT
"""Which layer goes where, as llama.cpp's log says it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.fit.placement import HOST, place_layers, split_name


@pytest.mark.parametrize(
    ("n_layer", "offloaded", "shares", "counts", "output"),
    [
        (80, 81, (1.0, 1.0), {0: 41, 1: 39}, 1),
        (16, 17, (1.0, 1.0), {0: 9, 1: 7}, 1),
        (15, 16, (1.0, 1.0), {0: 8, 1: 7}, 1),
        (6, 3, (1.0, 1.0), {HOST: 4, 0: 2}, 1),
        (6, 7, (3.0, 1.0), {0: 6}, 1),
        (6, 0, (1.0, 1.0), {HOST: 6}, HOST),
        (6, 7, (), {HOST: 6}, HOST),
        (6, 7, (0.0, 1.0, 0.0), {1: 6}, 1),
    ],
)
def test_layers_fall_as_in_llama_cpp(
    n_layer: int,
    offloaded: int,
    shares: tuple[float, ...],
    counts: dict[int, int],
    output: int,
) -> None:
    placement = place_layers(n_layer, offloaded, shares)
    assert {at: len(layers) for at, layers in placement.by_device().items()} == counts
    assert placement.output == output


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(any))
def test_shares_that_are_counts_give_those_counts(counts: list[int]) -> None:
    total = sum(counts)
    placement = place_layers(total - 1, total, tuple(map(float, counts)))
    assert [placement.devices.count(device) for device in range(len(counts))] == counts


def test_names_of_tensors() -> None:
    assert split_name("blk.12.attn_q.weight") == (12, "attn_q.weight")
    assert split_name("output.weight") == (None, "output.weight")
    assert split_name("blk.odd") == (None, "blk.odd")
