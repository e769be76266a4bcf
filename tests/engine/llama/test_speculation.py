# SPDX-License-Identifier: MIT
"""Guessed tokens make a reply faster and never another one."""

from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.messages import EngineError, FinishReason
from rigpanel.fit.load_settings import Speculation
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.llama.replying import reply, session
from tests.engine.made_models import (
    model_that_says,
    model_with_a_state,
    model_with_a_window,
    model_with_control_tokens,
)

EXACT: dict[str, Any] = {"n_ctx": 512, "flash_attn": "off"}
"""Flash attention on the CPU rounds otherwise for one token than for several."""
LOOKUP: dict[str, Any] = {"speculation": Speculation.PROMPT_LOOKUP}


def drafted_by(model: Path, **changes: Any) -> dict[str, Any]:
    return {"speculation": Speculation.DRAFT_MODEL, "model_draft": model, **changes}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "tiny.gguf", DemoShape(exact=True))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same vocabulary that would say something else."""
    shape = DemoShape(n_embd=64, n_layer=1, exact=True)
    return write_demo_model(tmp_path_factory.mktemp("models") / "other.gguf", shape)


@pytest.mark.parametrize("how", ["lookup", "itself", "other"])
@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0},
        {"temperature": 0.3, "seed": 3},
        {"temperature": 1.0, "seed": 3, "mirostat": 2},
        {"temperature": 0, "presence_penalty": 0.3, "repeat_last_n": -1},
        {"temperature": 0.5, "seed": 4, "grammar": 'root ::= (" warm" | " cool" | [a-z])+'},
    ],
    ids=str,
)
def test_the_reply_is_the_one_without_guesses(
    model: Path, other: Path, how: str, sampling: dict[str, Any]
) -> None:
    guessing = {
        "lookup": LOOKUP, "itself": drafted_by(model, n_draft=5), "other": drafted_by(other),
    }[how]  # fmt: skip
    asked = "warm stone wind, warm stone wind, warm"
    sampling = {"ignore_eos": "grammar" not in sampling, **sampling}
    with session(model, **EXACT) as opened:
        alone = reply(opened, asked, max_tokens=80, **sampling)
        assert (alone.stats.n_drafted, alone.stats.n_accepted) == (0, 0)
        alone_next = reply(opened, asked, alone.text, "more", max_tokens=20, **sampling)
    with session(model, **EXACT, **guessing) as opened:
        guessed = reply(opened, asked, max_tokens=80, **sampling)
        assert guessed.text == alone.text
        assert guessed.stats.n_gen == alone.stats.n_gen
        assert 0 <= guessed.stats.n_accepted <= guessed.stats.n_drafted
        after = reply(opened, asked, alone.text, "more", max_tokens=20, **sampling)
        assert after.text == alone_next.text
        assert after.stats.n_cached == alone_next.stats.n_cached
    if how == "itself" and len(sampling) == 2:
        assert guessed.stats.n_accepted == guessed.stats.n_drafted > 50


def test_what_came_before_is_guessed_right(model: Path) -> None:
    """A penalty away from choice: a model held to one text by a grammar repeats it."""
    text = "warm stone and cool water "
    with session(model, n_ctx=1024, **LOOKUP) as opened:
        said = reply(opened, text * 3, grammar=f'root ::= "{text * 3}"', temperature=0)
        assert said.text == text * 3
        assert said.stats.n_accepted > 10


def test_ends_within_right_guesses_are_exact(tmp_path: Path) -> None:
    model = model_that_says(tmp_path / "says.gguf", b"abcdefgh")
    with session(model, **drafted_by(model, n_draft=8)) as opened:
        said = reply(opened, "hello", temperature=0)
        assert (said.text, said.stats.n_gen) == ("abcdefgh", 9)
        assert said.stats.finish_reason is FinishReason.STOP
        stopped = reply(opened, "hello", temperature=0, stop=("de",))
        assert (stopped.text, stopped.stats.n_gen) == ("abc", 5)
        limited = reply(opened, "hello", temperature=0, max_tokens=4)
        assert (limited.text, limited.stats.n_gen) == ("abcd", 4)
        assert limited.stats.finish_reason is FinishReason.LENGTH
        # Nothing that was only guessed stays behind.
        on = reply(opened, "hello", "abcd", "hello", temperature=0)
        assert on.stats.n_cached == limited.stats.n_prompt + 3
        assert on.text == "abcdefgh"


def test_a_small_batch_checks_as_many_guesses_as_it_holds(model: Path) -> None:
    with session(model, **EXACT) as opened:
        alone = reply(opened, "hello", temperature=0, max_tokens=40, ignore_eos=True)
    small = {"n_batch": 9, "n_ubatch": 2, **EXACT, **drafted_by(model)}
    with session(model, **small) as opened:
        guessed = reply(opened, "hello", temperature=0, max_tokens=40, ignore_eos=True)
    assert guessed.text == alone.text
    assert guessed.stats.n_accepted > 20


def test_a_full_context_is_used_to_its_end(model: Path) -> None:
    with session(model, n_ctx=256, **drafted_by(model)) as opened:
        said = reply(opened, "hello", temperature=0, ignore_eos=True)
        assert said.stats.n_prompt + said.stats.n_gen == 256
        assert said.stats.finish_reason is FinishReason.LENGTH


def test_a_sliding_window_goes_back_over_guesses(tmp_path: Path) -> None:
    model = model_with_a_window(tmp_path / "window.gguf", window=16)
    asked = "warm cool stone wind " * 20
    with session(model, n_ubatch=16, **EXACT) as opened:
        alone = reply(opened, asked, temperature=0, max_tokens=60, ignore_eos=True)
    with session(model, n_ubatch=16, **EXACT, **LOOKUP) as opened:
        guessed = reply(opened, asked, temperature=0, max_tokens=60, ignore_eos=True)
    assert guessed.text == alone.text
    assert guessed.stats.n_drafted > guessed.stats.n_accepted


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"speculation": Speculation.DRAFT_MODEL}, "none is named"),
        ({**LOOKUP, "n_draft": 0}, "n_draft 0"),
        ({**LOOKUP, "n_draft": 8, "n_batch": 8}, "below n_batch"),
        (drafted_by(Path("/nowhere.gguf")), "does not exist"),
    ],
    ids=["no draft", "no guesses", "small batch", "no file"],
)
def test_what_cannot_guess_is_refused(model: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Exception, match=says), session(model, **changes):
        pass


def test_a_draft_of_another_vocabulary_is_refused(model: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.gguf"
    model_with_control_tokens(strange, "<think>")
    says = r"strange\.gguf cannot guess.*'<think>' and not '▁"
    with pytest.raises(EngineError, match=says), session(model, **drafted_by(strange)):
        pass


def test_a_state_that_cannot_go_back_is_refused_and_still_chats_alone(
    model: Path, tmp_path: Path
) -> None:
    mamba = model_with_a_state(tmp_path / "mamba.gguf")
    with (
        pytest.raises(EngineError, match=r"running state.*without speculation"),
        session(mamba, **LOOKUP),
    ):
        pass
    with (
        pytest.raises(EngineError, match="Choose another draft model"),
        session(model, **drafted_by(mamba)),
    ):
        pass
    with session(mamba, n_ctx=512) as opened:
        first = reply(opened, "warm", temperature=0, max_tokens=9, ignore_eos=True)
        second = reply(opened, "cool", temperature=0, max_tokens=9, ignore_eos=True)
        again = reply(opened, "warm", temperature=0, max_tokens=9, ignore_eos=True)
        assert again.text == first.text
        assert second.stats.n_cached == again.stats.n_cached == 0
