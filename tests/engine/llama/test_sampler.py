# SPDX-License-Identifier: MIT
"""What each sampling parameter does to replies of a model whose probabilities are known."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.llama.session import Session
from rigpanel.engine.messages import EngineError, FinishReason, TokenBias
from rigpanel.library.demo_model import write_demo_model
from tests.engine.llama.replying import reply, session
from tests.engine.made_models import model_that_draws, model_that_says

LOGITS = {"A": 4 + math.log(0.6), "B": 4 + math.log(0.3), "C": 4 + math.log(0.1)}
"""Probabilities of 0.6, 0.3 and 0.1; above 0, as a repeat penalty divides what is."""
PLAIN: dict[str, Any] = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temperature": 1.0, "seed": 1}


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    model = model_that_draws(tmp_path_factory.mktemp("models") / "draws.gguf", LOGITS)
    with session(model, n_ctx=1024) as opened:
        yield opened


def drawn(opened: Session, n: int = 200, **sampling: Any) -> str:
    return reply(opened, "hello", max_tokens=n, **{**PLAIN, **sampling}).text


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        ({}, "ABC"),
        ({"top_k": 2}, "AB"),
        ({"top_p": 0.8}, "AB"),
        ({"top_p": 0.5}, "A"),
        ({"min_p": 0.4}, "AB"),
        ({"typical_p": 0.2}, "B"),  # Closest to the 0.9 nats that are to be expected.
        ({"xtc_probability": 1.0, "xtc_threshold": 0.2}, "BC"),
        ({"xtc_probability": 1.0, "xtc_threshold": 0.2, "top_k": 2}, "B"),
        ({"temperature": 0.05}, "A"),
        ({"mirostat": 1, "mirostat_tau": 0.0}, "A"),
        ({"mirostat": 2, "mirostat_tau": 0.0}, "A"),
        ({"mirostat": 2, "mirostat_tau": 100.0, "top_k": 1}, "ABC"),  # In place of top-k.
        ({"logit_bias": (TokenBias("A", -math.inf),)}, "BC"),
        ({"logit_bias": (TokenBias("C", 100.0),)}, "C"),
    ],
    ids=str,
)
def test_which_tokens_are_left(drawing: Session, sampling: dict[str, Any], possible: str) -> None:
    assert set(drawn(drawing, **sampling)) == set(possible)


def test_a_temperature_moves_the_shares(drawing: Session) -> None:
    shares = [drawn(drawing, 400, temperature=t).count("A") / 400 for t in (0.5, 1.0, 10.0)]
    assert shares == pytest.approx([0.78, 0.6, 0.36], abs=0.08)


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ({}, "AAAAAAAA"),
        ({"presence_penalty": 10.0, "repeat_last_n": -1}, "ABCAAAAA"),
        ({"presence_penalty": 10.0, "repeat_last_n": 1}, "ABABABAB"),
        ({"frequency_penalty": 10.0, "repeat_last_n": -1}, "ABCABCAB"),
        ({"repeat_penalty": 2.0, "repeat_last_n": -1}, "ABAAAAAA"),
        ({"presence_penalty": 10.0, "repeat_last_n": 0}, "AAAAAAAA"),
        ({"dry_multiplier": 5.0, "dry_allowed_length": 2}, "AAABAACA"),
        ({"dry_multiplier": 5.0, "dry_sequence_breakers": ("A",)}, "AAAAAAAA"),
    ],
    ids=str,
)
def test_what_is_held_off_from_repeating(
    drawing: Session, sampling: dict[str, Any], said: str
) -> None:
    assert drawn(drawing, 8, temperature=0.0, **sampling) == said


def test_the_prompt_counts_as_said_before(drawing: Session) -> None:
    sampling: dict[str, Any] = {**PLAIN, "temperature": 0.0, "repeat_last_n": -1}
    # Letters of this vocabulary are bytes where they are capitals.
    assert reply(drawing, "A", max_tokens=1, **sampling).text == "A"
    assert reply(drawing, "A", max_tokens=1, presence_penalty=9.0, **sampling).text == "B"


def test_a_seed_decides_all(drawing: Session) -> None:
    assert drawn(drawing, seed=3) == drawn(drawing, seed=3) != drawn(drawing, seed=4)
    assert drawn(drawing, seed=None) != drawn(drawing, seed=None)


@pytest.mark.parametrize(
    ("grammar", "said"), [('root ::= "C" "B" "A"', "CBA"), ('root ::= "C"+ | "AB"', None)]
)
def test_a_grammar_decides_what_can_be_said(
    drawing: Session, grammar: str, said: str | None
) -> None:
    found = reply(drawing, "hello", grammar=grammar, max_tokens=9, **PLAIN)
    assert found.text == said if said else found.text in {"AB", "C" * 9}
    assert found.stats.finish_reason is FinishReason.STOP or found.text == "C" * 9


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        ({"grammar": "root ::= nothing"}, "cannot read the grammar"),
        ({"grammar": 'start ::= "A"'}, "rule named root"),
        ({"grammar": 'root ::= root "A" | "B"'}, "begin with itself"),
        ({"grammar": 'root ::= "A'}, "cannot read the grammar"),
        ({"grammar": 'root ::= "A" [z-a]'}, "No token of this model fits"),
        ({"grammar": "root ::= <[5]> <[99999999]>"}, "No token of this model fits"),
        ({"json_schema": "{"}, "JSON schema cannot be turned"),
        ({"json_schema": "[]"}, "JSON schema cannot be turned"),
        ({"json_schema": '{"type": "nonsense"}'}, "Unrecognized schema"),
        ({"json_schema": '{"$ref": "https://example.org/s"}'}, "remote schemas"),
        ({"grammar": 'root ::= "A"', "logit_bias": (TokenBias("A", -math.inf),)}, "logit bias"),
        ({"temperature": math.nan}, "Temperature"),
        ({"top_k": -1}, "Top-k"),
    ],
    ids=str,
)
def test_what_cannot_be_is_a_sentence_and_the_model_goes_on(
    drawing: Session, sampling: dict[str, Any], says: str
) -> None:
    with pytest.raises(EngineError, match=says):
        reply(drawing, "hello", max_tokens=9, **sampling)
    assert drawn(drawing, 3, temperature=0.0) == "AAA"


def test_a_reply_by_a_schema_is_json_of_it(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"watts": {"type": "integer"}, "name": {"enum": ["fan", "card"]}},
        "required": ["watts", "name"],
        "additionalProperties": False,
    }
    with session(write_demo_model(tmp_path / "tiny.gguf")) as opened:
        for seed in (1, 2):
            said = reply(opened, "hello", json_schema=json.dumps(schema), seed=seed, max_tokens=300)
            found = json.loads(said.text)
            assert isinstance(found["watts"], int)
            assert found["name"] in {"fan", "card"}


def test_an_end_that_is_ignored_is_neither_taken_nor_written(tmp_path: Path) -> None:
    with session(model_that_says(tmp_path / "says.gguf", b"abc")) as opened:
        assert reply(opened, "hello", temperature=0, max_tokens=9).text == "abc"
        said = reply(opened, "hello", temperature=0, max_tokens=9, ignore_eos=True)
        assert (said.stats.n_gen, said.stats.finish_reason) == (9, FinishReason.LENGTH)
        assert said.text.startswith("abc")
        assert "</s>" not in said.text
