# SPDX-License-Identifier: MIT
"""One loaded model and its KV cache: reads a conversation and writes the reply."""

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import llama_cpp

from rigpanel.engine.checks import check
from rigpanel.engine.llama.cache import KvCache, StopFlag
from rigpanel.engine.llama.generation import ReplyWriter
from rigpanel.engine.llama.loading import load_model, make_context
from rigpanel.engine.llama.prompt import PromptReader
from rigpanel.engine.llama.runtime import llama_log
from rigpanel.engine.llama.sampler import Sampler
from rigpanel.engine.llama.speculation import Guesser, open_guesser
from rigpanel.engine.llama.template import check_template, open_template
from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.messages import (
    ChatRequest,
    FinishReason,
    LoadedModel,
    PrefillProgressed,
    ReplyEvent,
    ReplyFinished,
    TurnsDropped,
)
from rigpanel.engine.reply_text import ReplyText
from rigpanel.engine.sampling import check as check_sampling
from rigpanel.engine.stopwatch import ReplyStopwatch
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import read_header

MIB = 1024 * 1024


class Session:
    """A model in memory; used from one thread, and freed with `close`.

    Loading raises EngineError or ModelFileError with a sentence for people, LoadCancelledError when
    `cancelled` turned true; `on_progress` gets a fraction from 0 to 1.
    """

    def __init__(
        self,
        settings: LoadSettings,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> None:
        started = time.monotonic()
        header = read_header(settings.model)
        check(settings, header, int(llama_cpp.llama_max_devices()))
        check_template(settings.chat_template)
        self._stop = StopFlag()
        self._model: Any = None
        self._context: Any = None
        self._guesser: Guesser | None = None
        llama_log.begin_load()
        try:
            self._model = load_model(settings, header, on_progress, cancelled)
            self._vocabulary = Vocabulary(self._model)
            template, apply = open_template(header, settings.chat_template, self._vocabulary)
            self._context = make_context(self._model, settings)
            self._cache = KvCache(self._model, self._context, self._stop)
            self._guesser = open_guesser(
                settings, self._model, self._vocabulary, self._stop, cancelled
            )
        except BaseException:
            self.close()
            raise
        self._n_draft = settings.n_draft
        self._prompts = PromptReader(self._vocabulary, apply, self._cache)
        self.model = LoadedModel(
            settings=settings,
            n_ctx=self._cache.n_ctx,
            name=header.name,
            arch=header.arch,
            file_type=header.file_type,
            n_params=int(llama_cpp.llama_model_n_params(self._model)),
            size_mib=llama_cpp.llama_model_size(self._model) / MIB,
            n_layer=int(llama_cpp.llama_model_n_layer(self._model)),
            n_ctx_train=int(llama_cpp.llama_model_n_ctx_train(self._model)),
            template=template,
            devices=llama_log.devices(),
            load_s=time.monotonic() - started,
            notes=llama_log.notes(),
        )

    def close(self) -> None:
        """Free the context and the model; closing twice does nothing."""
        if self._guesser is not None:
            self._guesser.close()
            self._guesser = None
        if self._context is not None:
            llama_cpp.llama_free(self._context)
            self._context = None
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def interrupt(self) -> None:
        """End at once what is being decoded, from any thread; `cancelled` must say so first."""
        self._stop.set()

    def chat(self, request: ChatRequest, cancelled: Callable[[], bool]) -> Iterator[ReplyEvent]:
        """Generate one reply, one event at a time; the last is ReplyFinished.

        Raises EngineError when the conversation does not fit the context, when the request asks for
        what cannot be, or when llama.cpp refuses.
        """
        self._stop.clear()
        watch = ReplyStopwatch()
        check_sampling(request.sampling)
        prompt = self._prompts.read(request, cancelled)
        if prompt is None:
            yield ReplyFinished(watch.stats(FinishReason.CANCELLED))
            return
        tokens = prompt.tokens
        n_cached = self._cache.keep(min(prompt.n_shared, len(tokens) - 1))
        sampler = Sampler(self._vocabulary, self._cache.n_ctx, request.sampling, tokens)
        try:
            if prompt.n_dropped:
                yield TurnsDropped(prompt.n_dropped)
            yield PrefillProgressed(n_cached, len(tokens), n_cached)
            watch.begins_to_read(len(tokens), n_cached)
            reason = FinishReason.CANCELLED
            if (yield from self._prefill(tokens, n_cached, cancelled)):
                watch.has_read()
                text = ReplyText(request.sampling.stop, prompt.text)
                writer = ReplyWriter(
                    self._cache, self._vocabulary, request.sampling, text, watch, cancelled
                )
                if self._guesser is not None:
                    self._guesser.begin(tokens)
                yield from writer.warn_if_nearly_full()
                reason = yield from writer.write(sampler, self._guesser, self._n_draft)
        finally:
            sampler.close()
        yield ReplyFinished(watch.stats(reason))

    def _prefill(
        self, prompt: list[int], n_cached: int, cancelled: Callable[[], bool]
    ) -> Generator[PrefillProgressed, None, bool]:
        """Decode the prompt in pieces of n_batch; returns whether it was read to its end.

        Where the cache lets tokens go, the last of the prompt is read alone: to its place the next
        turn comes back when the reply is made anew, or is told without what was thought.
        """
        cache, last = self._cache, len(prompt) - 1
        while len(cache.tokens) <= last:
            if len(cache.tokens) == last:
                cache.mark()
            begin = len(cache.tokens)
            end = begin + cache.n_batch
            piece = prompt[begin : min(end, last) if cache.lets_go and begin < last else end]
            if cancelled() or not cache.read(piece, cancelled):
                return False
            n_done = len(cache.tokens)
            if n_done == len(prompt):
                cache.synchronize()  # A card may still be at work on it.
            yield PrefillProgressed(n_done, len(prompt), n_cached)
        return True
