# SPDX-License-Identifier: MIT
"""One loaded model and its KV cache: reads a conversation and writes the reply."""

import codecs
import ctypes
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from rigpanel.engine.checks import check
from rigpanel.engine.llama.loading import load_model, make_context
from rigpanel.engine.llama.runtime import llama_log
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineError,
    FinishReason,
    LoadedModel,
    PrefillProgressed,
    ReplyEvent,
    ReplyFinished,
    Sampling,
    TextGenerated,
)
from rigpanel.engine.stopwatch import ReplyStopwatch
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import GgufHeader, read_header

MIB = 1024 * 1024
RANDOM_SEED = 0xFFFFFFFF
"""LLAMA_DEFAULT_SEED: llama.cpp draws one."""
STAND_IN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STAND_IN_NAME = "chatml (the file has none)"


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
        self._cancelled = cancelled
        self._model: Any = None
        self._context: Any = None
        self._in_cache: list[int] = []
        llama_log.begin_load()
        try:
            self._model = load_model(settings, header, on_progress, cancelled)
            self._context = make_context(self._model, settings)
            self._allow_abort()
            self._vocab = llama_cpp.llama_model_get_vocab(self._model)
            self._formatter = self._make_formatter(header)
        except BaseException:
            self.close()
            raise
        self._n_ctx = int(llama_cpp.llama_n_ctx(self._context))
        self._n_batch = int(llama_cpp.llama_n_batch(self._context))
        self._piece = ctypes.create_string_buffer(1024)
        self.model = LoadedModel(
            settings=settings,
            n_ctx=self._n_ctx,
            name=header.name,
            arch=header.arch,
            file_type=header.file_type,
            n_params=int(llama_cpp.llama_model_n_params(self._model)),
            size_mib=llama_cpp.llama_model_size(self._model) / MIB,
            n_layer=int(llama_cpp.llama_model_n_layer(self._model)),
            n_ctx_train=int(llama_cpp.llama_model_n_ctx_train(self._model)),
            template="file" if header.chat_template else STAND_IN_NAME,
            devices=llama_log.devices(),
            load_s=time.monotonic() - started,
            notes=llama_log.notes(),
        )

    def close(self) -> None:
        """Free the context and the model; closing twice does nothing."""
        if self._context is not None:
            llama_cpp.llama_free(self._context)
            self._context = None
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def _allow_abort(self) -> None:
        """Let llama.cpp ask between its steps whether to go on (it does on the CPU only)."""

        @llama_cpp.ggml_abort_callback  # type: ignore[untyped-decorator]
        def abort(_data: ctypes.c_void_p) -> bool:
            return self._cancelled()

        self._abort = abort
        llama_cpp.llama_set_abort_callback(self._context, abort, ctypes.c_void_p(0))

    def _make_formatter(self, header: GgufHeader) -> Jinja2ChatFormatter:
        def special(token: int) -> str:
            text = llama_cpp.llama_vocab_get_text(self._vocab, token) if token >= 0 else b""
            return (text or b"").decode("utf-8", "replace")

        try:
            return Jinja2ChatFormatter(
                template=header.chat_template or STAND_IN_TEMPLATE,
                eos_token=special(llama_cpp.llama_vocab_eos(self._vocab)),
                bos_token=special(llama_cpp.llama_vocab_bos(self._vocab)),
            )
        except Exception as error:  # a template is a program from a file
            raise EngineError(
                f"The chat template in {header.path.name} cannot be read ({error}). "
                "Choose another file of this model."
            ) from error

    def chat(self, request: ChatRequest, cancelled: Callable[[], bool]) -> Iterator[ReplyEvent]:
        """Generate one reply, one event at a time; the last is ReplyFinished.

        Raises EngineError when the conversation does not fit the context or llama.cpp refuses.
        """
        self._cancelled = cancelled
        watch = ReplyStopwatch()
        prompt = self._tokenize(self._format(request.messages))
        if not prompt:
            raise EngineError("The conversation is empty; write something first.")
        if len(prompt) >= self._n_ctx:
            raise EngineError(
                f"The conversation is {len(prompt)} tokens long and the context holds "
                f"{self._n_ctx}. Start a new chat, or load the model with a larger context."
            )
        n_cached = self._keep_common_prefix(prompt)
        yield PrefillProgressed(n_cached, len(prompt), n_cached)
        watch.begins_to_read(len(prompt), n_cached)
        if (yield from self._prefill(prompt, n_cached)):
            watch.has_read()
            reason = yield from self._generate(request.sampling, watch)
        else:
            reason = FinishReason.CANCELLED
        yield ReplyFinished(watch.stats(reason))

    def _format(self, messages: tuple[ChatMessage, ...]) -> str:
        listed: Any = [{"role": m.role, "content": m.content} for m in messages]
        try:
            return self._formatter(messages=listed).prompt
        except Exception as error:  # a template is a program from a file
            raise EngineError(
                f"The model's chat template refuses this conversation: {error}. "
                "Without a system prompt, or in a new chat, it may take it."
            ) from error

    def _tokenize(self, text: str) -> list[int]:
        raw = text.encode("utf-8", "replace")
        bos = llama_cpp.llama_vocab_bos(self._vocab)
        room = len(raw) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, raw, len(raw), tokens, room, True, True)
        if count < 0:
            raise EngineError("The conversation could not be turned into tokens.")
        found = list(tokens[:count])
        if found[:2] == [bos, bos]:
            del found[0]  # The template wrote it too.
        return found

    def _keep_common_prefix(self, prompt: list[int]) -> int:
        """Drop from the KV cache what this prompt does not begin with; returns what is kept."""
        shared = 0
        for ours, theirs in zip(self._in_cache, prompt[:-1], strict=False):
            if ours != theirs:
                break
            shared += 1
        if shared < len(self._in_cache):
            memory = llama_cpp.llama_get_memory(self._context)
            if self._window_is_gone(memory, shared) or not llama_cpp.llama_memory_seq_rm(
                memory, 0, shared, -1
            ):
                self._forget()
        del self._in_cache[shared:]
        return len(self._in_cache)

    def _window_is_gone(self, memory: Any, shared: int) -> bool:
        """Whether going back to `shared` needs what a sliding window or a state has let go."""
        oldest = llama_cpp.llama_memory_seq_pos_min(memory, 0)
        n_swa = llama_cpp.llama_model_n_swa(self._model)
        return bool(oldest > 0 and oldest >= shared - n_swa)

    def _forget(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._in_cache.clear()

    def _prefill(
        self, prompt: list[int], n_cached: int
    ) -> Generator[PrefillProgressed, None, bool]:
        """Decode the prompt in pieces of n_batch; returns whether it was read to its end."""
        for begin in range(n_cached, len(prompt), self._n_batch):
            if self._cancelled() or not self._decode(prompt[begin : begin + self._n_batch]):
                return False
            if len(self._in_cache) == len(prompt):
                llama_cpp.llama_synchronize(self._context)  # A card may still be at work on it.
            yield PrefillProgressed(len(self._in_cache), len(prompt), n_cached)
        return True

    def _decode(self, tokens: list[int]) -> bool:
        """Decode tokens after what is in the cache; False when it was cancelled on the way."""
        held = (llama_cpp.llama_token * len(tokens))(*tokens)  # The batch only points at it.
        batch = llama_cpp.llama_batch_get_one(held, len(tokens))
        status = llama_cpp.llama_decode(self._context, batch)
        if status == 0:
            self._in_cache += tokens
            return True
        memory = llama_cpp.llama_get_memory(self._context)
        if not llama_cpp.llama_memory_seq_rm(memory, 0, len(self._in_cache), -1):
            self._forget()
        if status == 2 or self._cancelled():
            return False
        raise EngineError(
            f"llama.cpp could not decode (status {status}): "
            f"{llama_log.last_error() or 'it gives no reason'}. Load the model again."
        )

    def _generate(
        self, sampling: Sampling, watch: ReplyStopwatch
    ) -> Generator[TextGenerated, None, FinishReason]:
        chain = self._make_chain(sampling)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            reason: FinishReason | None = None
            while reason is None:
                if self._cancelled():
                    reason = FinishReason.CANCELLED
                    break
                token = llama_cpp.llama_sampler_sample(chain, self._context, -1)
                watch.took_token()
                if llama_cpp.llama_vocab_is_eog(self._vocab, token) and not sampling.ignore_eos:
                    reason = FinishReason.STOP
                    break
                text = decoder.decode(self._bytes_of(token))
                if text:
                    yield TextGenerated(text, watch.n_gen)
                if watch.n_gen == sampling.max_tokens or len(self._in_cache) + 1 >= self._n_ctx:
                    reason = FinishReason.LENGTH
                elif not self._decode([token]):
                    reason = FinishReason.CANCELLED
            rest = decoder.decode(b"", final=True)
            if rest:
                yield TextGenerated(rest, watch.n_gen)
            return reason
        finally:
            llama_cpp.llama_sampler_free(chain)

    def _bytes_of(self, token: int) -> bytes:
        size = llama_cpp.llama_token_to_piece(
            self._vocab, token, self._piece, len(self._piece), 0, False
        )
        return self._piece.raw[:size] if size > 0 else b""

    def _make_chain(self, sampling: Sampling) -> Any:
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        if sampling.ignore_eos:
            self._forbid_end(chain)
        if sampling.temperature <= 0:
            links = [llama_cpp.llama_sampler_init_greedy()]
        else:
            seed = RANDOM_SEED if sampling.seed is None else sampling.seed
            links = [
                llama_cpp.llama_sampler_init_top_k(sampling.top_k),
                llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
                llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
                llama_cpp.llama_sampler_init_temp(sampling.temperature),
                llama_cpp.llama_sampler_init_dist(seed),
            ]
        for link in links:
            llama_cpp.llama_sampler_chain_add(chain, link)
        return chain

    def _forbid_end(self, chain: Any) -> None:
        n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
        ends = [t for t in range(n_vocab) if llama_cpp.llama_vocab_is_eog(self._vocab, t)]
        biases = (llama_cpp.llama_logit_bias * len(ends))()
        for bias, token in zip(biases, ends, strict=True):
            bias.token, bias.bias = token, float("-inf")
        llama_cpp.llama_sampler_chain_add(
            chain, llama_cpp.llama_sampler_init_logit_bias(n_vocab, len(ends), biases)
        )
