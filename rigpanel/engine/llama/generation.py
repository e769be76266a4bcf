# SPDX-License-Identifier: MIT
"""The loop that writes a reply: sample, show, decode; with guesses several tokens at once."""

from collections.abc import Callable, Generator

from rigpanel.engine.llama.cache import KvCache
from rigpanel.engine.llama.sampler import Sampler
from rigpanel.engine.llama.speculation import Guesser
from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.messages import (
    ContextNearlyFull,
    EngineError,
    FinishReason,
    Sampling,
    TextGenerated,
)
from rigpanel.engine.reply_text import Pieces, ReplyText
from rigpanel.engine.stopwatch import ReplyStopwatch

NEARLY_FULL = 0.9
"""Share of the context from which on a person is told."""

Written = Generator[TextGenerated | ContextNearlyFull, None, FinishReason]


class ReplyWriter:
    """Writes one reply after the prompt that the cache holds."""

    def __init__(
        self,
        cache: KvCache,
        vocabulary: Vocabulary,
        sampling: Sampling,
        text: ReplyText,
        watch: ReplyStopwatch,
        cancelled: Callable[[], bool],
    ) -> None:
        self._cache = cache
        self._vocabulary = vocabulary
        self._text = text
        self._free = text.thinking
        """Whether the thoughts that the prompt began go on: a grammar is about the answer."""
        self._watch = watch
        self._cancelled = cancelled
        self._ignore_eos = sampling.ignore_eos
        self._max_tokens = sampling.max_tokens or cache.n_ctx
        self._nearly_full = int(NEARLY_FULL * cache.n_ctx)

    def write(self, sampler: Sampler, guesser: Guesser | None, n_draft: int) -> Written:
        """Generate until the reply ends; returns why. What is held back is shown at any end."""
        try:
            if guesser is None:
                reason = yield from self._one_by_one(sampler)
            else:
                reason = yield from self._with_guesses(sampler, guesser, n_draft)
        except EngineError:
            yield from self._events(self._text.flush())
            raise
        yield from self._events(self._text.flush())
        return reason

    def _one_by_one(self, sampler: Sampler) -> Written:
        cache, cancelled, sample, context = (
            self._cache, self._cancelled, sampler.sample, self._cache.context,
        )  # fmt: skip
        while not cancelled():
            token = sample(context, -1, free=self._free)
            pieces, reason = self._take(token, len(cache.tokens))
            for text, reasoning in pieces:
                yield TextGenerated(text, self._watch.n_gen, reasoning)
            if reason is not None:
                return reason
            if not cache.add_one(token, cancelled):
                break
            if len(cache.tokens) >= self._nearly_full:
                yield from self._warn()
        return FinishReason.CANCELLED

    def _with_guesses(self, sampler: Sampler, guesser: Guesser, n_draft: int) -> Written:
        """Decode guesses with each token, and keep those that are what is sampled anyway.

        The same chain samples at the same places, so the reply is the one without guesses, as far
        as llama.cpp computes a token alike alone and among others (flash attention on the CPU
        rounds otherwise).
        """
        cache = self._cache
        guesses: list[int] = []
        while not self._cancelled():
            before = len(cache.tokens) - len(guesses)
            run, pieces, reason = self._sample_run(sampler, guesses, before)
            n_accepted = len(run) - 1
            self._watch.n_drafted += len(guesses)
            self._watch.n_accepted += n_accepted
            if guesses and cache.keep(before + n_accepted) != before + n_accepted:
                raise EngineError("llama.cpp could not go back over a wrong guess. Send it again.")
            yield from self._events(pieces)
            if reason is not None:
                return reason
            guesser.add(run)
            room = min(n_draft, cache.room - 1, self._max_tokens - self._watch.n_gen - 1)
            guesses = guesser.guess(room, self._cancelled) if room > 0 else []
            if not cache.add([run[-1], *guesses], self._cancelled, outputs=True):
                break
            if before + len(run) >= self._nearly_full:
                yield from self._warn()
        return FinishReason.CANCELLED

    def _sample_run(
        self, sampler: Sampler, guesses: list[int], before: int
    ) -> tuple[list[int], Pieces, FinishReason | None]:
        """Sample after the last token and each right guess; what came last is not cached."""
        run: list[int] = []
        shown: Pieces = []
        for index in range(len(guesses) + 1):
            token = sampler.sample(self._cache.context, index if guesses else -1, free=self._free)
            pieces, reason = self._take(token, before + index)
            run.append(token)
            shown += pieces
            if reason is not None or index == len(guesses) or token != guesses[index]:
                break
        return run, shown, reason

    def _take(self, token: int, n_before: int) -> tuple[Pieces, FinishReason | None]:
        """Take note of a sampled token; returns what it shows and why the reply ends, if so."""
        watch, text = self._watch, self._text
        watch.took_token()
        data = self._vocabulary.shown(token)
        if data is None:
            if not self._ignore_eos:
                return [], FinishReason.STOP
            data = self._vocabulary.written(token)
        was_thinking = text.thinking
        pieces = text.feed(data)
        thinking = text.thinking
        self._free = self._free and thinking
        if was_thinking or thinking:
            watch.n_reasoning += 1
        if text.ended:
            return pieces, FinishReason.STOP
        if watch.n_gen >= self._max_tokens or n_before + 1 >= self._cache.n_ctx:
            return pieces, FinishReason.LENGTH
        return pieces, None

    def _events(self, pieces: Pieces) -> Generator[TextGenerated, None, None]:
        """Make one event of pieces of a kind: tokens that came at once are shown at once."""
        together = ""
        for index, (text, reasoning) in enumerate(pieces):
            together += text
            if index + 1 == len(pieces) or pieces[index + 1][1] != reasoning:
                yield TextGenerated(together, self._watch.n_gen, reasoning)
                together = ""

    def warn_if_nearly_full(self) -> Generator[ContextNearlyFull, None, None]:
        """Tell once, from when on the context is nearly full."""
        if len(self._cache.tokens) >= self._nearly_full:
            yield from self._warn()

    def _warn(self) -> Generator[ContextNearlyFull, None, None]:
        yield ContextNearlyFull(len(self._cache.tokens), self._cache.n_ctx)
        self._nearly_full = self._cache.n_ctx + 1
