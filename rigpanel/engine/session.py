# SPDX-License-Identifier: MIT
"""One loaded model and its KV cache: the only module that knows llama-cpp-python."""

import codecs
import ctypes
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import llama_cpp
import psutil
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from rigpanel.engine.log import LlamaLog
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineError,
    FinishReason,
    LoadCancelledError,
    LoadedModel,
    PrefillProgressed,
    ReplyEvent,
    ReplyFinished,
    ReplyStats,
    Sampling,
    TextGenerated,
)
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.gguf_header import GgufHeader, read_header

MIB = 1024 * 1024
CONTINUED_LINE = 5
"""Log level that goes on with the line before (enum ggml_log_level)."""
RANDOM_SEED = 0xFFFFFFFF
"""LLAMA_DEFAULT_SEED: llama.cpp draws one."""
KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2}
"""KV cache types by llama.cpp's names (enum ggml_type)."""
SPLIT_MODES = {SplitMode.NONE: 0, SplitMode.LAYER: 1, SplitMode.ROW: 2, SplitMode.TENSOR: 3}
FLASH_ATTN = {"auto": -1, "off": 0, "on": 1}
STAND_IN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STAND_IN_NAME = "chatml (the file has none)"

_log = LlamaLog()


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _take_log(_level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    _log.feed(text.decode("utf-8", "replace"))


def prepare() -> None:
    """Start llama.cpp's backends and take over its log; once in a process, before a load."""
    llama_cpp.llama_log_set(_take_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


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
        _check(settings, header)
        self._cancelled = cancelled
        self._model: Any = None
        self._context: Any = None
        self._in_cache: list[int] = []
        _log.forget_sizes()
        try:
            self._load(settings, header, on_progress)
            self._make_context(settings)
        except BaseException:
            self.close()
            raise
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._n_ctx = int(llama_cpp.llama_n_ctx(self._context))
        self._n_batch = settings.n_batch
        self._piece = ctypes.create_string_buffer(1024)
        self._formatter = self._make_formatter(header)
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
            devices=_log.devices(),
            load_s=time.monotonic() - started,
        )

    def close(self) -> None:
        """Free the context and the model; closing twice does nothing."""
        if self._context is not None:
            llama_cpp.llama_free(self._context)
            self._context = None
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def _load(
        self, settings: LoadSettings, header: GgufHeader, on_progress: Callable[[float], None]
    ) -> None:
        @llama_cpp.llama_progress_callback  # type: ignore[untyped-decorator]
        def progressed(fraction: float, _data: ctypes.c_void_p) -> bool:
            on_progress(fraction)
            return not self._cancelled()

        params = llama_cpp.llama_model_default_params()
        all_layers = header.n_layer + 1 if header.n_layer else 999
        params.n_gpu_layers = all_layers if settings.n_gpu_layers < 0 else settings.n_gpu_layers
        params.split_mode = SPLIT_MODES[settings.split_mode]
        params.main_gpu = settings.main_gpu
        params.load_mode = int(settings.use_mmap) + 2 * int(settings.use_mlock)
        params.progress_callback = progressed
        shares = (ctypes.c_float * llama_cpp.llama_max_devices())()
        if settings.tensor_split:
            for index, share in enumerate(settings.tensor_split):
                shares[index] = share
            params.tensor_split = shares
        path = str(header.path).encode()
        self._model = llama_cpp.llama_model_load_from_file(path, params)
        if self._model is None:
            if self._cancelled():
                raise LoadCancelledError("The load was cancelled.")
            raise EngineError(
                f"llama.cpp could not load {header.path.name}: "
                f"{_log.last_error() or 'it gives no reason'}. See whether the file is whole and "
                "whether it fits: fewer GPU layers or a smaller context need less memory."
            )

    def _make_context(self, settings: LoadSettings) -> None:
        threads = settings.threads or psutil.cpu_count(logical=False) or 1
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = settings.n_ctx
        params.n_batch = settings.n_batch
        params.n_ubatch = min(settings.n_ubatch, settings.n_batch)
        params.n_outputs_max = 1
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = FLASH_ATTN[settings.flash_attn]
        params.type_k, params.type_v = KV_TYPES[settings.type_k], KV_TYPES[settings.type_v]
        params.swa_full = False
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if self._context is None:
            raise EngineError(
                f"llama.cpp could not make a context of {settings.n_ctx} tokens: "
                f"{_log.last_error() or 'it gives no reason'}. A smaller context needs less memory."
            )

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
        except Exception as error:
            self.close()
            raise EngineError(
                f"The chat template in {header.path.name} cannot be read ({error}). "
                "Choose another file of this model."
            ) from error

    def chat(self, request: ChatRequest, cancelled: Callable[[], bool]) -> Iterator[ReplyEvent]:
        """Generate one reply, one event at a time; the last is ReplyFinished.

        Raises EngineError when the conversation does not fit the context or llama.cpp refuses.
        """
        self._cancelled = cancelled
        started = time.monotonic()
        prompt = self._tokenize(self._format(request.messages))
        if len(prompt) >= self._n_ctx:
            raise EngineError(
                f"The conversation is {len(prompt)} tokens long and the context holds "
                f"{self._n_ctx}. Start a new chat, or load the model with a larger context."
            )
        n_cached = self._keep_common_prefix(prompt)
        yield PrefillProgressed(n_cached, len(prompt), n_cached)
        finished = yield from self._prefill(prompt, n_cached)
        prefill_s = time.monotonic() - started
        n_new = len(prompt) - n_cached
        reply = _Reply(n_prompt=len(prompt), n_cached=n_cached, started=started)
        decode_started = time.monotonic()
        if finished:
            reason = yield from self._generate(request.sampling, reply)
        else:
            reason = FinishReason.CANCELLED
        decode_s = time.monotonic() - decode_started
        yield ReplyFinished(
            ReplyStats(
                finish_reason=reason,
                n_prompt=reply.n_prompt,
                n_cached=n_cached,
                n_gen=reply.n_gen,
                ttft_s=reply.ttft_s,
                pp_tps=n_new / prefill_s if finished and prefill_s > 0 else None,
                tg_tps=(reply.n_gen - 1) / reply.decode_s
                if reply.n_gen > 1 and reply.decode_s > 0
                else None,
                prefill_s=prefill_s,
                decode_s=decode_s,
            )
        )

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
        memory = llama_cpp.llama_get_memory(self._context)
        if shared < len(self._in_cache) and not llama_cpp.llama_memory_seq_rm(
            memory, 0, shared, -1
        ):
            llama_cpp.llama_memory_clear(memory, True)
            shared = 0
        del self._in_cache[shared:]
        return shared

    def _prefill(
        self, prompt: list[int], n_cached: int
    ) -> Generator[PrefillProgressed, None, bool]:
        """Decode the prompt in pieces of n_batch; returns whether it was read to its end."""
        for begin in range(n_cached, len(prompt), self._n_batch):
            if self._cancelled() or not self._decode(prompt[begin : begin + self._n_batch]):
                return False
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
        llama_cpp.llama_memory_seq_rm(memory, 0, len(self._in_cache), -1)
        if status == 2 or self._cancelled():
            return False
        raise EngineError(
            f"llama.cpp could not decode (status {status}): "
            f"{_log.last_error() or 'it gives no reason'}. Load the model again."
        )

    def _generate(
        self, sampling: Sampling, reply: "_Reply"
    ) -> Generator[TextGenerated, None, FinishReason]:
        chain = self._make_chain(sampling)
        accumulate = codecs.getincrementaldecoder("utf-8")("replace").decode
        try:
            while True:
                if self._cancelled():
                    return FinishReason.CANCELLED
                token = llama_cpp.llama_sampler_sample(chain, self._context, -1)
                reply.took_token()
                if llama_cpp.llama_vocab_is_eog(self._vocab, token) and not sampling.ignore_eos:
                    return FinishReason.STOP
                text = accumulate(self._bytes_of(token))
                if text:
                    yield TextGenerated(text, reply.n_gen)
                if reply.n_gen == sampling.max_tokens or len(self._in_cache) + 1 >= self._n_ctx:
                    return FinishReason.LENGTH
                if not self._decode([token]):
                    return FinishReason.CANCELLED
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


class _Reply:
    """Counts one reply's tokens and times."""

    def __init__(self, n_prompt: int, n_cached: int, started: float) -> None:
        self.n_prompt = n_prompt
        self.n_cached = n_cached
        self.n_gen = 0
        self.ttft_s: float | None = None
        self._started = started
        self._first = self._last = 0.0

    @property
    def decode_s(self) -> float:
        """Seconds from the first token to the last."""
        return self._last - self._first

    def took_token(self) -> None:
        self.n_gen += 1
        self._last = time.monotonic()
        if self.ttft_s is None:
            self._first = self._last
            self.ttft_s = self._last - self._started


def _check(settings: LoadSettings, header: GgufHeader) -> None:
    """Refuse what llama.cpp would refuse later, or would end the process over."""
    if header.arch == "clip":
        raise EngineError(f"{header.path.name} is a projector (mmproj), not a language model.")
    _check_cache(settings)
    _check_sizes(settings)


def _check_cache(settings: LoadSettings) -> None:
    for name, value in (("type_k", settings.type_k), ("type_v", settings.type_v)):
        if value not in KV_TYPES:
            raise EngineError(f"{name} {value!r}: must be one of {', '.join(KV_TYPES)}.")
    if settings.flash_attn not in FLASH_ATTN:
        raise EngineError(f"flash_attn {settings.flash_attn!r}: must be on, off or auto.")
    if settings.flash_attn == "off" and settings.type_v not in {"f32", "f16", "bf16"}:
        raise EngineError(
            f"A {settings.type_v} V cache needs flash attention; turn it on, or take f16 for V."
        )
    if settings.split_mode is SplitMode.TENSOR and settings.flash_attn == "off":
        raise EngineError("Split mode tensor needs flash attention; turn it on.")


def _check_sizes(settings: LoadSettings) -> None:
    if not 16 <= settings.n_ctx <= 16_777_216:
        raise EngineError(f"A context of {settings.n_ctx} tokens: must be from 16 to 16777216.")
    if settings.n_batch < 1 or settings.n_ubatch < 1:
        raise EngineError("n_batch and n_ubatch must be at least 1.")
    if any(share < 0 for share in settings.tensor_split) or (
        settings.tensor_split and sum(settings.tensor_split) <= 0
    ):
        raise EngineError("tensor_split: shares must not be negative, and one must be above 0.")
    if len(settings.tensor_split) > llama_cpp.llama_max_devices():
        raise EngineError(
            f"tensor_split names {len(settings.tensor_split)} devices; llama.cpp takes at most "
            f"{llama_cpp.llama_max_devices()}."
        )
