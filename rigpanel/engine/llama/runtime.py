# SPDX-License-Identifier: MIT
"""llama.cpp's backends and its log, of which there is one in a process."""

import contextlib
import ctypes
from collections.abc import Callable

import llama_cpp

from rigpanel.engine.log import LlamaLog

DEBUG_LEVEL, ERROR_LEVEL = 1, 4
"""Of enum ggml_log_level."""
_LAYER_LINE = b" assigned to device "

llama_log = LlamaLog()


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _take_log(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    if level != DEBUG_LEVEL:
        llama_log.feed(text.decode("utf-8", "replace"), is_error=level == ERROR_LEVEL)
    elif _LAYER_LINE in text:
        llama_log.feed_layer(text.decode("utf-8", "replace"))


def prepare(echo: Callable[[str], None] | None = None) -> None:
    """Start llama.cpp's backends and take over its log; `echo` is given each line of it."""
    llama_log.echo = echo
    llama_cpp.llama_log_set(_take_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


def give_memory_back() -> None:
    """Have the C library return what has been freed to the system, where it knows how (glibc)."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
