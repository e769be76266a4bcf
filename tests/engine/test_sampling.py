# SPDX-License-Identifier: MIT
"""Every number has its range and its sentence, and what is out of range is refused in one."""

import dataclasses
import math
from typing import Any

import pytest

from rigpanel.engine.messages import EngineError, Sampling, TokenBias
from rigpanel.engine.sampling import MAX_SEED, PARAMETERS, PRESETS, SamplingParameter, check


def changed(**changes: Any) -> Sampling:
    return dataclasses.replace(Sampling(), **changes)


def test_every_number_of_a_sampling_is_declared_once() -> None:
    numbers = {
        field.name
        for field in dataclasses.fields(Sampling)
        if isinstance(field.default, (int, float)) and not isinstance(field.default, bool)
    }
    assert {parameter.name for parameter in PARAMETERS} == numbers


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_number_is_taken_within_its_range_only(parameter: SamplingParameter) -> None:
    kind = int if parameter.whole else float
    for value in (parameter.minimum, parameter.maximum, parameter.off):
        if value is not None:
            check(changed(**{parameter.name: kind(value)}))
    beyond: list[Any] = [kind(parameter.minimum) - 1, kind(parameter.maximum) + 1, math.nan]
    for value in [*beyond, math.inf, 0.5] if parameter.whole else [*beyond, math.inf]:
        with pytest.raises(EngineError, match=f"{parameter.label} .*: must be a"):
            check(changed(**{parameter.name: value}))
    assert parameter.sentence.endswith(".")


def test_presets_can_be_used() -> None:
    assert list(PRESETS) == ["precise", "balanced", "creative"]
    for preset in PRESETS.values():
        check(preset)
    assert PRESETS["precise"].temperature < PRESETS["balanced"].temperature


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": MAX_SEED + 1}, "Seed"),
        ({"max_tokens": 0}, "must be 1 or more"),
        ({"stop": ("",)}, "stop string must have"),
        ({"stop": ("a\0",)}, "NUL"),
        ({"logit_bias": (TokenBias("a", math.nan),)}, "Logit bias"),
        ({"logit_bias": (TokenBias("", 1.0),)}, "logit bias must have"),
        ({"dry_sequence_breakers": ("\ud800",)}, "half a character"),
        ({"grammar": 'root ::= "a"', "json_schema": "{}"}, "at once"),
        ({"grammar": 'root ::= "a"', "ignore_eos": True}, "cannot be ignored"),
        ({"grammar": 'root ::= "a"{3,1}'}, "first number must not"),
        ({"grammar": "root ::= " + "(" * 300 + '"a"' + ")" * 300}, "levels deep"),
        ({"json_schema": "[" * 300}, "levels deep"),
        ({"grammar": "#" * 1_000_001}, "longer than"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        check(changed(**changes))


def test_what_only_looks_wrong_in_a_grammar_is_taken() -> None:
    check(changed(grammar='root ::= "{3,1}" [{3,1}] "a"{1,3}  # {3,1}'))
    check(changed(logit_bias=(TokenBias("a", -math.inf),)))
