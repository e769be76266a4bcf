# SPDX-License-Identifier: MIT
"""From a request to the tokens of its prompt, without the oldest turns where it asks for that."""

from collections.abc import Callable
from dataclasses import dataclass

from rigpanel.engine.dropping import Messages, fewest_to_drop, without_oldest
from rigpanel.engine.llama.cache import KvCache
from rigpanel.engine.llama.template import (
    LONGEST_S,
    Format,
    TemplateStoppedError,
    stoppable,
)
from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.messages import ChatMessage, ChatRequest, EngineError, WhenFull
from rigpanel.engine.reuse import splice
from rigpanel.engine.sampling import check_text

Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads of a conversation."""

    text: str
    tokens: list[int]
    n_shared: int
    """So many tokens at the beginning are what the cache begins with."""
    n_dropped: int


class PromptReader:
    """Applies the chat template and the tokenizer, and keeps to the tokens that are cached."""

    def __init__(self, vocabulary: Vocabulary, template: Format, cache: KvCache) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._cache = cache
        self._n_ctx = cache.n_ctx
        self._dropped: tuple[int, ChatMessage] | None = None
        """How many messages were dropped last, and the first that was kept."""

    def read(self, request: ChatRequest, cancelled: Cancelled) -> Prompt | None:
        """Return the prompt; None when it was cancelled on the way.

        Raises EngineError for a conversation that is empty, cannot be read or does not fit.
        """
        if not request.messages:
            raise EngineError("The conversation is empty; write something first.")
        for message in request.messages:
            check_text("A message", message.role, message.content)
        try:
            prompt = self._fit(request, cancelled)
        except TemplateStoppedError:
            if cancelled():
                return None
            raise EngineError(
                f"The model's chat template did not come to an end within {LONGEST_S:.0f} s. "
                "Choose another template in the load settings."
            ) from None
        if not prompt.tokens:
            raise EngineError("The conversation is empty; write something first.")
        if len(prompt.tokens) >= self._n_ctx:
            what = "The last message" if prompt.n_dropped else "The conversation"
            raise EngineError(
                f"{what} is {len(prompt.tokens)} tokens long and the context holds "
                f"{self._n_ctx}. Start a new chat, or load the model with a larger context."
            )
        return prompt

    def _fit(self, request: ChatRequest, cancelled: Cancelled) -> Prompt:
        whole = self._without(request.messages, 0, cancelled)
        if request.when_full is WhenFull.STOP:
            return whole
        reserve = min(request.sampling.max_tokens or self._n_ctx // 4, self._n_ctx // 2)
        if len(whole.tokens) + reserve <= self._n_ctx:
            return whole
        return self._drop(request.messages, reserve, cancelled)

    def _drop(self, messages: Messages, reserve: int, cancelled: Cancelled) -> Prompt:
        """Leave out enough for the reserve; as many as last time where that leaves half of it.

        To drop a little more at every turn would move the whole conversation, so that none of it
        could be reused.
        """
        if self._dropped is not None:
            n_dropped, first = self._dropped
            left = without_oldest(messages, n_dropped)
            if first in left[:2]:
                again = self._without(messages, n_dropped, cancelled)
                if len(again.tokens) + reserve // 2 <= self._n_ctx:
                    return again
        tried: dict[int, Prompt] = {}

        def fits(n_dropped: int) -> bool:
            tried[n_dropped] = self._without(messages, n_dropped, cancelled)
            return len(tried[n_dropped].tokens) + reserve <= self._n_ctx

        n_dropped = fewest_to_drop(messages, fits)
        left = without_oldest(messages, n_dropped)
        first = next((message for message in left if message.role != "system"), left[-1])
        self._dropped = (n_dropped, first)
        return tried.get(n_dropped) or self._without(messages, n_dropped, cancelled)

    def _without(self, messages: Messages, n_dropped: int, cancelled: Cancelled) -> Prompt:
        with stoppable(cancelled):
            text = self._template(without_oldest(messages, n_dropped))
        fresh = self._vocabulary.tokenize(text)
        vocabulary, cached, spoken = self._vocabulary, self._cache.tokens, self._cache.spoken

        def cached_piece(at: int) -> bytes:
            # A control token in the midst of a reply is shown to nobody.
            token = cached[at]
            return vocabulary.written(token) if spoken[at] else vocabulary.rendered(token)

        n_shared, tokens = splice(
            cached, fresh, cached_piece, lambda at: vocabulary.rendered(fresh[at])
        )
        if len(tokens) >= self._n_ctx > len(fresh):
            n_shared, tokens = 0, fresh
        return Prompt(text, tokens, n_shared, n_dropped)
