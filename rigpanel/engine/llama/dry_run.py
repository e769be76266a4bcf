# SPDX-License-Identifier: MIT
"""A process that has llama.cpp size a load without allocating it, and prints the sizes as JSON."""

import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.checks import check
from rigpanel.engine.llama.devices import chosen, meeting
from rigpanel.engine.llama.ggml import ggml
from rigpanel.engine.llama.loading import make_context, model_params
from rigpanel.engine.llama.runtime import llama_log, prepare
from rigpanel.engine.messages import EngineError
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings, Speculation
from rigpanel.fit.measured import Measured, MeasuredUse
from rigpanel.library.gguf_header import GgufHeader, read_header

BREAKDOWN = "_Z26llama_get_memory_breakdownPK13llama_context"
"""`llama_get_memory_breakdown(llama_context const *)` of llama-ext.h, as C++ compilers name it."""
MOST_BUFFERS = 256
F32 = 4
HOST = ""
_COPIES = re.compile(r"sched copies = (\d+)")
_FLASH_ATTN = re.compile(r"Flash Attention (enabled|not supported)")


class _Node(ctypes.Structure):
    """A node of the std::map from buffer type to sizes, as libstdc++ lays it out."""


_Node._fields_ = [
    ("colour", ctypes.c_size_t),
    ("parent", ctypes.POINTER(_Node)),
    ("left", ctypes.POINTER(_Node)),
    ("right", ctypes.POINTER(_Node)),
    ("buffer_type", ctypes.c_void_p),
    ("model", ctypes.c_size_t),
    ("context", ctypes.c_size_t),
    ("compute", ctypes.c_size_t),
]


class _Map(ctypes.Structure):
    """The map itself: a comparison without data, the header node, and the number of nodes."""

    _fields_ = (
        ("compare", ctypes.c_size_t),
        ("colour", ctypes.c_size_t),
        ("root", ctypes.POINTER(_Node)),
        ("leftmost", ctypes.POINTER(_Node)),
        ("rightmost", ctypes.POINTER(_Node)),
        ("count", ctypes.c_size_t),
    )


def _nodes(node: Any) -> Iterator[Any]:
    if node:
        yield from _nodes(node.contents.left)
        yield node.contents
        yield from _nodes(node.contents.right)


def _breakdown(context: Any) -> list[Any]:
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libllama.so"))
    try:
        function = getattr(library, BREAKDOWN)
    except AttributeError as error:
        raise EngineError("This build of llama.cpp does not tell sizes without loading.") from error
    function.argtypes, function.restype = [ctypes.c_void_p], _Map
    found = function(context)
    nodes = list(_nodes(found.root)) if 0 < found.count <= MOST_BUFFERS else []
    if not nodes or len(nodes) != found.count:
        raise EngineError("This build of llama.cpp tells sizes in another form than is known.")
    return nodes


def _place_of(buffer_type: Any) -> str:
    """Return the device that a buffer type is memory of, `HOST` for the host's."""
    device = ggml.ggml_backend_buft_get_device(buffer_type)
    if not device or ggml.ggml_backend_buft_is_host(buffer_type):
        return HOST
    name = (ggml.ggml_backend_dev_name(device) or b"").decode("utf-8", "replace")
    # Weights in another order lie in a buffer of the processor's that is no plain host memory.
    return HOST if name == "CPU" else name


class _Log:
    """What the log alone tells of a context."""

    def __init__(self) -> None:
        self.flash_attn: bool | None = None
        self.copies = 1
        prepare(self._take)
        llama_log.begin_load()

    def _take(self, line: str) -> None:
        if found := _COPIES.search(line):
            self.copies = int(found[1])
        if found := _FLASH_ATTN.search(line):
            self.flash_attn = found[1] == "enabled"


def measure(settings: LoadSettings, header: GgufHeader) -> Measured:
    """Return what llama.cpp would allocate; raises EngineError where it refuses the load."""
    check(settings, header, int(llama_cpp.llama_max_devices()))
    log = _Log()
    with meeting(settings.rpc_servers):
        return _sized(settings, header, log)


def _sized(settings: LoadSettings, header: GgufHeader, log: _Log) -> Measured:
    array, used = chosen(settings)
    params = model_params(settings, header, array)
    params.no_alloc, params.load_mode = True, 0
    model = llama_cpp.llama_model_load_from_file(os.fsencode(header.path), params)
    if model is None:
        raise EngineError(f"llama.cpp refuses {header.path.name}: {llama_log.last_error()}.")
    context = None
    try:
        context = make_context(model, replace(settings, lora=()))
        addresses = {device.name: device.address for device in used}
        return _measured(model, context, settings, addresses, log)
    finally:
        if context is not None:
            llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


def _measured(
    model: Any, context: Any, settings: LoadSettings, addresses: Mapping[str, str], log: _Log
) -> Measured:
    sizes = {name: [0, 0, 0] for name in (*addresses, HOST)}
    for node in _breakdown(context):
        at = sizes.setdefault(_place_of(node.buffer_type), [0, 0, 0])
        for index, size in enumerate((node.model, node.context, node.compute)):
            at[index] += int(size)
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    n_outputs = settings.n_draft + 1 if settings.speculation is not Speculation.NONE else 1
    sizes[HOST][2] += n_vocab * n_outputs * F32  # The logits as they are handed out.
    n_ctx = int(llama_cpp.llama_n_ctx(context))
    on = [name if name in addresses else HOST for _, name in sorted(llama_log.layers.items())]
    # WORKAROUND: where cards work one after another, sizing without allocating
    # (ggml_backend_sched_reserve_size) forgets on which card the first step of a layer was set to
    # run, so it counts that step's result as handed over to every card but the first too.
    if log.copies > 1:
        tokens = min(n_ctx, int(llama_cpp.llama_n_ubatch(context)))
        extra = log.copies * int(llama_cpp.llama_model_n_embd(model)) * tokens * F32
        for name in set(on[1:-1]) - {on[0], HOST}:
            sizes[name][2] = max(sizes[name][2] - extra, 0)
    return Measured(
        devices=tuple(
            MeasuredUse(
                name=name,
                address=addresses.get(name, ""),
                weights=sizes[name][0],
                kv=sizes[name][1],
                compute=sizes[name][2],
                layers=on[:-1].count(name),
                output=on[-1:] == [name],
            )
            for name in (*(name for name in sizes if name != HOST), HOST)
        ),
        n_ctx=n_ctx,
        flash_attn=settings.flash_attn == "on" if log.flash_attn is None else log.flash_attn,
    )


def main() -> None:
    """Answer each line of load settings with a line of sizes, or of an error; all JSON.

    Ends after as many seconds as its argument says: where whoever asked has died, nobody else ends
    a process that waits for an RPC server.
    """
    signal.alarm(int(sys.argv[1]))
    for line in sys.stdin:
        settings = from_plain(LoadSettings, json.loads(line))
        try:
            answer = {"measured": to_plain(measure(settings, read_header(settings.model)))}
        except RigpanelError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
    os._exit(0)  # llama.cpp's own teardown may hang on a card or a server that does not answer.
