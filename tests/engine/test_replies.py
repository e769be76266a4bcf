# SPDX-License-Identifier: MIT
"""What a reply says and counts: split characters, ends, templates, and what stays in the cache."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.engine import Engine
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineState,
    FinishReason,
    PrefillProgressed,
    ReplyFinished,
    Sampling,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.thread_engine import ThreadEngine
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.driving import ask, quiet, reply, run
from tests.engine.made_models import (
    model_that_says,
    model_with_template,
)


def exactly(model: Path, **changes: Any) -> LoadSettings:
    """Return settings under which a reply does not hang on how its prompt was cut in pieces."""
    return LoadSettings(model, threads=1, type_k="f32", type_v="f32", **changes)


def conversation(*texts: str) -> ChatRequest:
    """Return a request whose messages are the user's and the model's in turn; greedy."""
    roles = ("user", "assistant")
    messages = tuple(ChatMessage(roles[i % 2], text) for i, text in enumerate(texts))
    return ChatRequest(messages, Sampling(temperature=0, max_tokens=20, ignore_eos=True))


def test_characters_split_over_tokens_come_whole(tmp_path: Path) -> None:
    model = model_that_says(tmp_path / "says.gguf", "é€😀".encode())

    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        pieces = []
        async for event in engine.chat(ask("hello", temperature=0)):
            if isinstance(event, TextGenerated):
                pieces.append(event.text)
            elif isinstance(event, ReplyFinished):
                assert event.stats.finish_reason is FinishReason.STOP
                assert event.stats.n_gen == len("é€😀".encode()) + 1  # And the end.
        assert "".join(pieces) == "é€😀"

    run(ThreadEngine, work)


@pytest.mark.parametrize(
    ("said", "tokens", "read"), [("é".encode(), 1, "\ufffd"), (b"a\xffb", None, "a\ufffdb")]
)
def test_bytes_that_are_no_character_are_shown_as_such(
    tmp_path: Path, said: bytes, tokens: int | None, read: str
) -> None:
    model = model_that_says(tmp_path / "says.gguf", said)

    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        text, _ = await reply(engine, ask("hello", temperature=0, max_tokens=tokens))
        assert text == read

    run(ThreadEngine, work)


def test_a_seed_gives_the_same_reply_and_another_seed_another(tmp_path: Path) -> None:
    model = write_demo_model(tmp_path / "tiny.gguf", DemoShape(exact=True))

    async def work(engine: Engine) -> None:
        texts = []
        for seed in (1, 1, 2):
            await engine.load(exactly(model), quiet)
            request = ask("hello", seed=seed, max_tokens=30, ignore_eos=True)
            texts.append((await reply(engine, request))[0])
        assert texts[0] == texts[1] != texts[2]

    run(ThreadEngine, work)


def test_an_edited_turn_is_read_from_the_edit_on_and_answered_as_if_alone(tmp_path: Path) -> None:
    model = write_demo_model(tmp_path / "tiny.gguf", DemoShape(exact=True))

    async def work(engine: Engine) -> None:
        await engine.load(exactly(model), quiet)
        first, opening = await reply(engine, conversation("warm stone"))
        _, turn = await reply(engine, conversation("warm stone", first, "and now?"))
        assert turn.n_cached >= opening.n_prompt
        edited, edit = await reply(engine, conversation("warm wind"))
        assert 0 < edit.n_cached < opening.n_prompt
        again, regenerated = await reply(engine, conversation("warm wind"))
        assert again == edited
        assert regenerated.n_cached == regenerated.n_prompt - 1
        await engine.load(exactly(model), quiet)
        assert (await reply(engine, conversation("warm wind")))[0] == edited

    run(ThreadEngine, work)


@pytest.fixture(scope="module")
def slow_and_exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = DemoShape(
        n_embd=768, n_layer=8, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=4096, exact=True
    )
    return write_demo_model(tmp_path_factory.mktemp("models") / "slow.gguf", shape)


@pytest.mark.parametrize("n_ubatch", [64, 4096])
def test_stop_in_the_middle_of_a_piece_leaves_the_cache_right(
    slow_and_exact: Path, n_ubatch: int
) -> None:
    settings = exactly(slow_and_exact, n_ctx=4096, n_batch=4096, n_ubatch=n_ubatch)

    async def work(engine: Engine) -> None:
        await engine.load(settings, quiet)
        alone, _ = await reply(engine, conversation("stone"))
        async for event in engine.chat(conversation("warm " * 700)):
            if isinstance(event, PrefillProgressed):
                assert event.n_done == event.n_cached  # The one piece is not read to its end.
                asyncio.get_running_loop().call_later(0.1, engine.cancel)
            elif isinstance(event, ReplyFinished):
                assert event.stats.finish_reason is FinishReason.CANCELLED
                assert (event.stats.n_gen, event.stats.ttft_s) == (0, None)
        again, _ = await reply(engine, conversation("stone"))
        assert again == alone

    run(ThreadEngine, work)


def test_a_template_that_raises_is_told_and_the_model_stays(tmp_path: Path) -> None:
    model = model_with_template(
        tmp_path / "refuses.gguf", "{{ raise_exception('no system prompt here') }}"
    )

    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        with pytest.raises(EngineError, match="no system prompt here"):
            await reply(engine, ask("hello"))
        assert engine.status.state is EngineState.READY

    run(ThreadEngine, work)


def test_stop_gets_through_to_a_template_without_end(tmp_path: Path) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    model = model_with_template(tmp_path / "endless.gguf", endless)

    async def work(engine: Engine) -> None:
        await engine.load(LoadSettings(model, threads=1), quiet)
        asyncio.get_running_loop().call_later(0.2, engine.cancel)
        _, stats = await reply(engine, ask("hello"))
        assert stats.finish_reason is FinishReason.CANCELLED
        assert engine.status.state is EngineState.READY

    run(ProcessEngine, work)


@pytest.mark.parametrize("template", ["{% for %}", "{{ messages.__class__.__mro__ }}"])
def test_a_template_that_is_broken_or_prying_gets_a_sentence(tmp_path: Path, template: str) -> None:
    model = model_with_template(tmp_path / "odd.gguf", template)

    async def work(engine: Engine) -> None:
        with pytest.raises(EngineError, match="template"):  # noqa: PT012 - either may refuse
            await engine.load(LoadSettings(model, threads=1), quiet)
            await reply(engine, ask("hello"))

    run(ThreadEngine, work)
