# SPDX-License-Identifier: MIT
"""Where guesses of the next tokens come from: a small model, or the conversation itself."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp

from rigpanel.engine.llama.cache import KvCache, StopFlag, keeps_a_state
from rigpanel.engine.llama.loading import load_model, make_context
from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.lookup import PromptLookup
from rigpanel.engine.messages import EngineError
from rigpanel.fit.load_settings import LoadSettings, Speculation
from rigpanel.library.gguf_header import read_header


class Guesser(ABC):
    """Guesses what one conversation goes on with; whether it is right costs speed only."""

    @abstractmethod
    def begin(self, prompt: list[int]) -> None:
        """Start a reply to these tokens."""

    @abstractmethod
    def add(self, tokens: list[int]) -> None:
        """Take the tokens that the reply went on with."""

    @abstractmethod
    def guess(self, count: int, cancelled: Callable[[], bool]) -> list[int]:
        """Return up to `count` tokens that may come next."""

    def close(self) -> None:  # noqa: B027 - only a model has anything to free
        """Free what it holds."""


class LookupGuesser(Guesser):
    """Guesses from the conversation's own tokens."""

    def __init__(self) -> None:
        self._lookup = PromptLookup()

    def begin(self, prompt: list[int]) -> None:
        """Forget the last conversation and learn this one."""
        self._lookup = PromptLookup()
        self._lookup.add(prompt)

    def add(self, tokens: list[int]) -> None:
        """Learn more of it."""
        self._lookup.add(tokens)

    def guess(self, count: int, cancelled: Callable[[], bool]) -> list[int]:  # noqa: ARG002
        """Return what followed the last few tokens before."""
        return self._lookup.guess(count)


class DraftModel(Guesser):
    """Guesses with a small model of the same vocabulary, always its likeliest token."""

    def __init__(self, model: Any, context: Any, stop: StopFlag, n_vocab: int) -> None:
        """`n_vocab` is the large model's: it may have fewer padding tokens."""
        self._model = model
        self._cache = KvCache(model, context, stop)
        self._vocabulary = Vocabulary(model)
        self._n_vocab = n_vocab
        self._greedy: Any = llama_cpp.llama_sampler_init_greedy()
        self._known: list[int] = []
        self._agreed = 0
        """So many tokens at the beginning are known to be the same in its cache."""

    def begin(self, prompt: list[int]) -> None:
        """Keep what is cached of this prompt."""
        self._known = list(prompt)
        self._agreed = 0

    def add(self, tokens: list[int]) -> None:
        """Take the tokens the large model chose."""
        self._known += tokens

    def guess(self, count: int, cancelled: Callable[[], bool]) -> list[int]:
        """Return the small model's continuation, read by it as far as it is new."""
        count = min(count, self._cache.n_ctx - len(self._known))
        if count <= 0 or not self._catch_up(cancelled):
            return []
        guessed: list[int] = []
        while True:
            token = int(llama_cpp.llama_sampler_sample(self._greedy, self._cache.context, -1))
            if token >= self._n_vocab or self._vocabulary.shown(token) is None:
                return guessed
            guessed.append(token)
            if len(guessed) == count or not self._cache.add_one(token, cancelled):
                return guessed

    def _catch_up(self, cancelled: Callable[[], bool]) -> bool:
        known, cached = self._known, self._cache.tokens
        agreed = self._agreed
        end = min(len(known) - 1, len(cached))  # The last is decoded anew, for its logits.
        while agreed < end and known[agreed] == cached[agreed]:
            agreed += 1
        begin = self._cache.keep(agreed)
        self._agreed = 0
        for at in range(begin, len(known), self._cache.n_batch):
            piece = known[at : at + self._cache.n_batch]
            if cancelled() or not self._cache.read(piece, cancelled):
                return False
        self._agreed = len(known) - 1
        return True

    def close(self) -> None:
        """Free the small model."""
        if self._model is not None:
            llama_cpp.llama_sampler_free(self._greedy)
            llama_cpp.llama_free(self._cache.context)
            llama_cpp.llama_model_free(self._model)
            self._model = None


def open_guesser(
    settings: LoadSettings,
    model: Any,
    vocabulary: Vocabulary,
    stop: StopFlag,
    cancelled: Callable[[], bool],
) -> Guesser | None:
    """Return what guesses for this model, or None without speculation.

    Raises EngineError where guesses cannot be checked, or the small model does not fit the large.
    """
    if settings.speculation is Speculation.NONE:
        return None
    if keeps_a_state(model):
        raise EngineError(
            "This model keeps a running state that cannot go back over a wrong guess. Load it "
            "without speculation."
        )
    if settings.speculation is Speculation.PROMPT_LOOKUP:
        return LookupGuesser()
    if settings.model_draft is None:
        return None
    return _open_draft(settings, settings.model_draft, vocabulary, stop, cancelled)


def _open_draft(
    settings: LoadSettings,
    path: Path,
    vocabulary: Vocabulary,
    stop: StopFlag,
    cancelled: Callable[[], bool],
) -> DraftModel:
    header = read_header(path)
    own = dataclasses.replace(settings, model=path, lora=())
    model = load_model(own, header, lambda _: None, cancelled)
    context: Any = None
    try:
        _check_draft(model, header.path.name, vocabulary)
        context = make_context(model, own)
        return DraftModel(model, context, stop, vocabulary.n_tokens)
    except BaseException:
        if context is not None:
            llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)
        raise


def _check_draft(model: Any, name: str, vocabulary: Vocabulary) -> None:
    if keeps_a_state(model):
        raise EngineError(
            f"{name} keeps a running state that cannot go back over a wrong guess. Choose another "
            "draft model."
        )
    difference = Vocabulary(model).differs_from(vocabulary)
    if difference:
        raise EngineError(
            f"{name} cannot guess for this model: its vocabulary is another one ({difference}). "
            "Choose a smaller model of the same family."
        )
