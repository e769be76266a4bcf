# SPDX-License-Identifier: MIT
"""A conversation over many turns: what is read anew, when it is full, what it cannot hold."""

from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.messages import (
    ChatRequest,
    EngineError,
    FinishReason,
    Sampling,
    TextGenerated,
    WhenFull,
)
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.llama.replying import Reply, reply, session, talk
from tests.engine.made_models import (
    make_it_say,
    model_that_draws,
    model_that_says,
    model_with_a_state,
    model_with_a_window,
    model_with_control_tokens,
    model_with_template,
)

BYTES = {chr(value): 0.0 for value in range(256)}
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 20, "ignore_eos": True}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "tiny.gguf", DemoShape(exact=True))


@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_ten_turns_cost_their_new_tokens_only(tmp_path: Path, model: Path, kind: str) -> None:
    """Also when a reply is bytes that are no characters, or words spelt unlike the tokenizer."""
    if kind == "bytes":
        model = model_that_draws(tmp_path / "bytes.gguf", BYTES)
    with session(model, n_ctx=4096) as opened:
        said: list[str] = []
        n_before, last = 0, ""
        for turn in range(10):
            question = f"warm stone {turn}"
            answer = reply(
                opened, *said, question, temperature=1.0, seed=turn, top_k=0, top_p=1.0,
                min_p=0.0, ignore_eos=True, max_tokens=60,
            )  # fmt: skip
            stats = answer.stats
            assert stats.n_gen == 60
            if turn:
                # The last token was sampled and not yet read; a character it ended is read anew.
                assert n_before - 3 <= stats.n_cached <= n_before
                glue = f"{last}</s>\n<|user|>\n{question}</s>\n<|assistant|>\n"
                new = Vocabulary(opened._model).tokenize(glue, whole=False)
                assert stats.n_prompt - stats.n_cached <= len(new) + 3
            n_before, last = stats.n_prompt + 59, answer.pieces[-1]
            said += [question, answer.text]


def test_a_regenerated_reply_reads_one_token(model: Path) -> None:
    with session(model) as opened:
        first = reply(opened, "warm stone", **GREEDY)
        again = reply(opened, "warm stone", **GREEDY)
        assert again.text == first.text
        assert again.stats.n_cached == again.stats.n_prompt - 1


def test_a_context_nearly_full_is_told_once_before_it_ends(model: Path) -> None:
    with session(model, n_ctx=256) as opened:
        said = reply(opened, "hello", temperature=0, ignore_eos=True)
        assert said.stats.finish_reason is FinishReason.LENGTH
        assert said.stats.n_prompt + said.stats.n_gen == 256
        assert [(told.n_used, told.n_ctx) for told in said.nearly_full] == [(230, 256)]
        full = reply(opened, "h" * 215, temperature=0, ignore_eos=True)
        assert full.stats.n_prompt > 230
        assert [told.n_used for told in full.nearly_full] == [full.stats.n_prompt]
        assert reply(opened, "hello", max_tokens=5, ignore_eos=True).nearly_full == []


def test_going_back_beyond_a_sliding_window_says_what_it_said(tmp_path: Path) -> None:
    """llama.cpp would go on without what the window has let go, and say something else."""
    model = model_with_a_window(tmp_path / "window.gguf", window=64)
    asked = "warm cool stone wind " * 10
    with session(model, n_ctx=1024, n_ubatch=32, n_batch=64) as opened:
        first = reply(opened, asked, **GREEDY)
        for max_tokens in (100, 200):  # Within the window, and past it.
            longer = reply(opened, asked, **{**GREEDY, "max_tokens": max_tokens})
            again = reply(opened, asked, **GREEDY)
            assert (again.stats.n_cached, again.text) == (first.stats.n_prompt - 1, first.text)
        # A turn that tells the reply otherwise is read from where the reply began.
        reply(opened, asked, **{**GREEDY, "max_tokens": 200})
        turn = reply(opened, asked, "cool", "and now?", **GREEDY)
        assert turn.stats.n_cached == first.stats.n_prompt - 1
        # One that changes what was asked is read anew from before that.
        other = reply(opened, "wind " + asked, "cool", "and now?", **GREEDY)
        assert other.stats.n_cached == 0
    with session(model, n_ctx=1024, n_ubatch=32, n_batch=64) as opened:
        assert reply(opened, asked, "cool", "and now?", **GREEDY).text == turn.text
        assert reply(opened, "wind " + asked, "cool", "and now?", **GREEDY).text == other.text
        assert longer.text.startswith(first.text)


def test_a_running_state_goes_back_to_where_the_reply_began(tmp_path: Path) -> None:
    with session(model_with_a_state(tmp_path / "mamba.gguf"), n_ctx=512) as opened:
        first = reply(opened, "warm", **GREEDY)
        again = reply(opened, "warm", **GREEDY)
        assert (again.stats.n_cached, again.text) == (first.stats.n_prompt - 1, first.text)
        other = reply(opened, "cool", **GREEDY)
        assert other.stats.n_cached == 0
        assert reply(opened, "warm", **GREEDY).text == first.text


def long_talk(n_turns: int) -> list[str]:
    return [text for turn in range(n_turns) for text in (f"question {turn}", f"answer {turn}")]


def test_the_oldest_turns_are_dropped_and_it_is_told(model: Path) -> None:
    said = long_talk(20)
    with session(model, n_ctx=512) as opened:
        with pytest.raises(EngineError, match="context holds 512"):
            reply(opened, *said, "last", system="be brief", **GREEDY)

        def ask(*texts: str, **sampling: Any) -> Reply:
            return reply(
                opened, *texts, system="be brief", when_full=WhenFull.DROP_OLDEST,
                temperature=0, ignore_eos=True, **sampling,
            )  # fmt: skip

        dropped = ask(*said, "last", max_tokens=30)
        assert dropped.n_dropped % 2 == 0
        assert dropped.stats.n_prompt + 30 <= 512
        alone = ask(*said[dropped.n_dropped :], "last", max_tokens=30)
        assert (alone.n_dropped, alone.text) == (0, dropped.text)
        fewer = ask(*said[dropped.n_dropped - 2 :], "last", max_tokens=30)
        assert fewer.n_dropped == 2  # One turn less would not have left room for the reply.
        half = ask(*said, "last", max_tokens=None)
        assert half.stats.n_prompt <= 512 - 128
        assert half.stats.finish_reason is FinishReason.LENGTH


def test_what_was_dropped_stays_dropped_so_that_the_rest_is_reused(model: Path) -> None:
    said = long_talk(20)
    short: dict[str, Any] = {"max_tokens": 120, "temperature": 0, "stop": ("small",)}
    with session(model, n_ctx=512) as opened:
        first = reply(opened, *said, "q", when_full=WhenFull.DROP_OLDEST, **short)
        turn = reply(opened, *said, "q", "a", "q", when_full=WhenFull.DROP_OLDEST, **short)
        assert turn.n_dropped == first.n_dropped > 0
        assert turn.stats.n_cached >= first.stats.n_prompt
        more = [*said, "q", "a", *long_talk(3), "q"]
        assert reply(opened, *more, when_full=WhenFull.DROP_OLDEST).n_dropped > first.n_dropped


def test_a_last_message_that_does_not_fit_alone_is_refused(model: Path) -> None:
    with session(model, n_ctx=256) as opened, pytest.raises(EngineError, match="The last message"):
        reply(opened, "a", "b", "warm " * 200, when_full=WhenFull.DROP_OLDEST)


def test_two_thousand_messages_are_cut_to_what_fits(model: Path) -> None:
    with session(model, n_ctx=1024) as opened:
        dropped = reply(
            opened, *long_talk(1000), "last", when_full=WhenFull.DROP_OLDEST, max_tokens=2
        )
        assert 1900 < dropped.n_dropped < 2000


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ((), "is empty"),
        (("a\0b",), "NUL character"),
        (("a\ud83d",), "half a character"),
        (("warm " * 300,), "context holds 256"),
    ],
    ids=["empty", "nul", "surrogate", "long"],
)
def test_what_cannot_be_read_is_a_sentence(model: Path, texts: tuple[str, ...], says: str) -> None:
    with session(model, n_ctx=256) as opened:
        with pytest.raises(EngineError, match=says):
            reply(opened, *texts)
        assert reply(opened, "hello", **GREEDY).stats.n_gen == 20


def test_a_stop_string_over_several_tokens_ends_the_reply_and_is_not_shown(tmp_path: Path) -> None:
    model = model_that_says(tmp_path / "says.gguf", b"abc<end>xyz")
    with session(model) as opened:
        said = reply(opened, "hello", temperature=0, stop=("never", "c<end>"))
        assert (said.text, said.stats.finish_reason) == ("ab", FinishReason.STOP)
        assert said.stats.n_gen == len("abc<end>")
        assert not any("<" in piece for piece in said.pieces)
        # What only began like one is shown when the reply ends otherwise.
        cut = reply(opened, "hello", temperature=0, stop=("<end>!",), max_tokens=8)
        assert (cut.text, cut.stats.finish_reason) == ("abc<end>", FinishReason.LENGTH)


def test_thinking_is_told_apart_and_counted(model: Path) -> None:
    grammar = 'root ::= "<think>\\nwarm stone\\n</think>\\n\\n" "cool water"'
    with session(model) as opened:
        said = reply(opened, "hello", grammar=grammar)
        assert (said.thought, said.text) == ("warm stone", "cool water")
        assert 0 < said.stats.n_reasoning < said.stats.n_gen
        tagged = reply(opened, "hello", grammar='root ::= "A <think> tag"')
        assert (tagged.text, tagged.stats.n_reasoning) == ("A <think> tag", 0)


def test_tags_that_are_control_tokens_are_seen_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "thinks.gguf"
    begin, end = model_with_control_tokens(path, "<think>", "</think>")
    grammar = f'root ::= <[{begin}]> "warm" <[{end}]> "cool"'
    with session(path) as opened:
        said = reply(opened, "hello", grammar=grammar)
        assert (said.thought, said.text) == ("warm", "cool")


def test_channels_are_told_apart_and_counted(tmp_path: Path) -> None:
    """As gpt-oss has them: all control tokens in the file, and the first end is not the reply's."""
    path = tmp_path / "channels.gguf"
    channel, message, start, end, _, _ = model_with_control_tokens(
        path, "<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>"
    )
    grammar = (
        f'root ::= <[{channel}]> "analysis" <[{message}]> "warm stone" <[{end}]> '
        f'<[{start}]> "assistant" <[{channel}]> "final" <[{message}]> "cool water"'
    )
    with session(path) as opened:
        said = reply(opened, "hello", grammar=grammar)
        assert (said.thought, said.text) == ("warm stone", "cool water")
        assert said.stats.finish_reason is FinishReason.STOP
        assert 0 < said.stats.n_reasoning < said.stats.n_gen


def test_a_template_may_begin_the_thinking_and_a_grammar_is_about_the_answer(
    tmp_path: Path,
) -> None:
    path = tmp_path / "opens.gguf"
    model_with_template(path, "{{ '<think>\n' }}")
    make_it_say(path, b"a</think>")
    with session(path) as opened:
        said = reply(opened, "hello", temperature=0, grammar='root ::= "cool water"')
        assert (said.thought, said.text) == ("a", "cool water")
        assert said.stats.n_reasoning == len("a</think>")
        free = reply(opened, "hello", temperature=0)
        assert (free.thought, free.text) == ("a", "")


def test_a_stop_meant_for_an_earlier_reply_does_no_harm(model: Path) -> None:
    with session(model) as opened:
        alone = reply(opened, "hello", **GREEDY)
        request = ChatRequest(talk("hello"), Sampling(**GREEDY))
        text = ""
        for event in opened.chat(request, lambda: False):
            opened.interrupt()
            text += event.text if isinstance(event, TextGenerated) else ""
        assert text == alone.text


def test_the_figures_are_what_was_done(model: Path) -> None:
    with session(model) as opened:
        stats = reply(opened, "warm stone", **GREEDY).stats
        assert stats.ttft_s is not None
        assert stats.tg_tps is not None
        assert stats.pp_tps == pytest.approx(stats.n_prompt / stats.prefill_s)
        assert stats.ttft_s >= stats.prefill_s
        # Nineteen steps lie between twenty tokens, and the whole of them within the decode.
        assert 19 / stats.tg_tps <= stats.decode_s
        one = reply(opened, "warm wind", temperature=0, max_tokens=1, ignore_eos=True).stats
        assert (one.n_gen, one.tg_tps) == (1, None)
