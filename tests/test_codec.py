# SPDX-License-Identifier: MIT
"""What is kept or sent as JSON comes back as it was, also from another version."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from rigpanel.codec import from_plain, to_plain
from rigpanel.fit.load_settings import LoadSettings, LoraAdapter, RopeScaling, SplitMode
from rigpanel.rig.readings import Missing, Reading

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read:
    energy_j: Reading[float]
    name: str | None = None
    count: int = 0


def there_and_back(value: T) -> T:
    return from_plain(type(value), json.loads(json.dumps(to_plain(value))))


def test_load_settings_come_back_whole() -> None:
    settings = LoadSettings(
        Path("/models/a.gguf"),
        split_mode=SplitMode.ROW,
        tensor_split=(1.0, 2.5),
        rope_scaling=RopeScaling.YARN,
        lora=(LoraAdapter(Path("b.gguf"), 0.5),),
        rpc_servers=("127.0.0.1:50052",),
        model_draft=Path("/models/small.gguf"),
    )
    assert there_and_back(settings) == settings


@pytest.mark.parametrize("value", [Read(12.5), Read(Missing.GPU_LOST, "a"), Read(0.0)])
def test_a_missing_reading_stays_missing(value: Read) -> None:
    assert there_and_back(value) == value


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_what_json_has_no_number_for_comes_back_and_is_json(value: float) -> None:
    text = json.dumps(to_plain(Read(value)), allow_nan=False)
    assert from_plain(Read, json.loads(text)) == Read(value)


def test_another_versions_fields_do_no_harm() -> None:
    plain = to_plain(LoadSettings(Path("a.gguf"))) | {"of_tomorrow": 1}
    del plain["n_batch"]
    assert from_plain(LoadSettings, plain) == LoadSettings(Path("a.gguf"))


@pytest.mark.parametrize(
    "plain",
    [
        {},
        [],
        None,
        3,
        {"energy_j": "a word nobody knows"},
        {"energy_j": "12.5"},
        {"energy_j": True},
        {"energy_j": 10**400},
        {"energy_j": 1.0, "name": 3},
        {"energy_j": 1.0, "count": "3"},
        {"energy_j": 1.0, "count": True},
        {"energy_j": 1.0, "count": None},
    ],
)
def test_what_is_none_is_refused(plain: object) -> None:
    with pytest.raises(ValueError, match="not a Read"):
        from_plain(Read, plain)
