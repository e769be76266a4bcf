# SPDX-License-Identifier: MIT
"""A context's KV cache: which tokens it holds, adding to them and going back."""

import ctypes
from collections.abc import Callable
from typing import Any

import llama_cpp

from rigpanel.engine.llama.runtime import llama_log
from rigpanel.engine.messages import EngineError

ABORTED = 2
"""What llama_decode returns when its abort callback said so."""
PARTIAL = llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
"""Only what is let go in going on: sliding windows and running states."""
LARGEST_MARK = 512 * 1024 * 1024
"""Bytes of host memory; windows that hold more (of a 27B with 1500 tokens in them, 650 MiB) are not
copied, and going back beyond them reads anew."""


def keeps_a_state(model: Any) -> bool:
    """Whether some layers keep a running state (Mamba and the like), which cannot go back."""
    return bool(llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model))


class StopFlag:
    """Seen by llama.cpp between its steps (on the CPU only), and set from any thread.

    It asks a C function, so that a token need not wait for Python some hundred times: the length
    of a text that is empty until `set` is 0 for no, and 1 for yes.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        strlen = ctypes.CDLL(None).strlen
        self.callback = ctypes.cast(strlen, llama_cpp.ggml_abort_callback)
        self.data = ctypes.cast(self._text, ctypes.c_void_p)

    def set(self) -> None:
        """Stop what is being decoded."""
        self._text[0] = b"!"

    def clear(self) -> None:
        """Let it go on."""
        self._text[0] = b"\0"


class KvCache:
    """One conversation in a context's cache; used from one thread."""

    def __init__(self, model: Any, context: Any, stop: StopFlag) -> None:
        self.context = context
        self.tokens: list[int] = []
        """What the cache holds, in order."""
        self.spoken: list[bool] = []
        """Of each of them, whether the model said it."""
        self.n_ctx = int(llama_cpp.llama_n_ctx(context))
        self.n_batch = int(llama_cpp.llama_n_batch(context))
        self._n_swa = int(llama_cpp.llama_model_n_swa(model))
        self.lets_go = self._n_swa > 0 or keeps_a_state(model)
        """Whether going back far is only possible to where it was marked."""
        self._mark: tuple[int, Any] | None = None
        """So many tokens were held then, and what windows and states held of them."""
        self._memory = llama_cpp.llama_get_memory(context)
        self._stop = stop
        self._one = (llama_cpp.llama_token * 1)()
        self._one_batch = llama_cpp.llama_batch_get_one(self._one, 1)
        self._cancelled: Callable[[], bool] = bool

        @llama_cpp.ggml_abort_callback  # type: ignore[untyped-decorator]
        def ask(_data: ctypes.c_void_p) -> bool:
            return self._cancelled()

        self._ask = ask
        self._stop_by_flag()

    @property
    def room(self) -> int:
        """How many tokens more it can hold."""
        return self.n_ctx - len(self.tokens)

    def keep(self, count: int) -> int:
        """Go back to the first `count` tokens; returns how many could be kept.

        Where windows and states have gone on too far these are those that were marked, or none.
        """
        if count < len(self.tokens):
            if self._window_is_gone(count) or not self._remove(count):
                count = self._back_to_mark(count)
            del self.tokens[count:], self.spoken[count:]
            if self._mark is not None and self._mark[0] > count:
                self._mark = None
        return len(self.tokens)

    def mark(self) -> None:
        """Make it possible to come back here, in place of where that was possible before."""
        if not self.lets_go or (self._mark is not None and self._mark[0] == len(self.tokens)):
            return
        self._mark = None
        size = int(llama_cpp.llama_state_seq_get_size_ext(self.context, 0, PARTIAL))
        if not 0 < size <= LARGEST_MARK:
            return
        held = (ctypes.c_uint8 * size)()
        if llama_cpp.llama_state_seq_get_data_ext(self.context, held, size, 0, PARTIAL) == size:
            self._mark = (len(self.tokens), held)

    def _back_to_mark(self, most: int) -> int:
        """Go back to the mark if it is among the first `most` tokens, else to the very start."""
        if self._mark is not None and self._mark[0] <= most:
            count, held = self._mark
            set_data = llama_cpp.llama_state_seq_set_data_ext
            if set_data(self.context, held, len(held), 0, PARTIAL) and self._remove(count):
                return count
        self._forget()
        return 0

    def add(
        self, tokens: list[int], cancelled: Callable[[], bool], *, outputs: bool = False
    ) -> bool:
        """Decode what the model said after what is held; False when it was cancelled on the way.

        With `outputs` each can be sampled from afterwards, else the last.
        """
        held = (llama_cpp.llama_token * len(tokens))(*tokens)  # The batch only points at it.
        batch = llama_cpp.llama_batch_get_one(held, len(tokens))
        if outputs:
            wanted = (ctypes.c_int8 * len(tokens))(*([1] * len(tokens)))
            batch.logits = ctypes.cast(wanted, ctypes.POINTER(ctypes.c_int8))
        if not self._decode(batch, cancelled):
            return False
        self.tokens += tokens
        self.spoken += [True] * len(tokens)
        return True

    def read(self, tokens: list[int], cancelled: Callable[[], bool]) -> bool:
        """Decode a piece of a prompt; `cancelled` is asked on the way too, as it may take long."""
        self._cancelled = cancelled
        llama_cpp.llama_set_abort_callback(self.context, self._ask, ctypes.c_void_p(0))
        try:
            if not self.add(tokens, cancelled):
                return False
            self.spoken[-len(tokens) :] = [False] * len(tokens)
            return True
        finally:
            self._stop_by_flag()

    def add_one(self, token: int, cancelled: Callable[[], bool]) -> bool:
        """Decode one token, to sample the next from; False when it was cancelled on the way."""
        self._one[0] = token
        if not self._decode(self._one_batch, cancelled):
            return False
        self.tokens.append(token)
        self.spoken.append(True)
        return True

    def synchronize(self) -> None:
        """Wait until a card has done what it was given."""
        llama_cpp.llama_synchronize(self.context)

    def _stop_by_flag(self) -> None:
        llama_cpp.llama_set_abort_callback(self.context, self._stop.callback, self._stop.data)

    def _decode(self, batch: Any, cancelled: Callable[[], bool]) -> bool:
        while status := llama_cpp.llama_decode(self.context, batch):
            lost = not self._remove(len(self.tokens)) and bool(self.tokens)
            if lost:
                self._forget()
            if cancelled():
                return False
            if status != ABORTED or lost:
                raise EngineError(
                    f"llama.cpp could not decode (status {status}): "
                    f"{llama_log.last_error() or 'it gives no reason'}. Load the model again."
                )
            self._stop.clear()  # It was meant for an earlier reply.
        return True

    def _window_is_gone(self, count: int) -> bool:
        """Whether going back to `count` needs what a sliding window or a state has let go."""
        oldest = llama_cpp.llama_memory_seq_pos_min(self._memory, 0)
        return bool(oldest > 0 and oldest >= count - self._n_swa)

    def _remove(self, begin: int) -> bool:
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, 0, begin, -1))

    def _forget(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, True)
        self._mark = None
        self.tokens.clear()
        self.spoken.clear()
