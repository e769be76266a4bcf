# SPDX-License-Identifier: MIT
"""A process that has llama.cpp size a load without allocating it, and prints the sizes as JSON."""

import ctypes
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp

from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.checks import FLASH_ATTN, check
from rigpanel.engine.llama.loading import SPLIT_MODES
from rigpanel.engine.log import LlamaLog
from rigpanel.engine.messages import EngineError
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.measured import Measured, MeasuredUse
from rigpanel.library.ggml_types import KV_TYPES
from rigpanel.library.gguf_header import GgufHeader, read_header

BREAKDOWN = "_Z26llama_get_memory_breakdownPK13llama_context"
"""`llama_get_memory_breakdown(llama_context const *)` of llama-ext.h, as C++ compilers name it."""
MOST_BUFFERS = 256
F32 = 4
_LAYER = re.compile(r"layer\s+(\d+) assigned to device (\S+?),")
_COPIES = re.compile(r"sched copies = (\d+)")
_FLASH_ATTN = re.compile(r"Flash Attention (enabled|not supported)")
_lib = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libllama.so"))


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
    try:
        function = getattr(_lib, BREAKDOWN)
    except AttributeError as error:
        raise EngineError("This build of llama.cpp does not tell sizes without loading.") from error
    function.argtypes, function.restype = [ctypes.c_void_p], _Map
    found = function(context)
    if not 0 < found.count <= MOST_BUFFERS:
        raise EngineError("This build of llama.cpp tells sizes in another form than is known.")
    nodes = list(_nodes(found.root))
    if len(nodes) != found.count:
        raise EngineError("This build of llama.cpp tells sizes in another form than is known.")
    return nodes


def _text(function: str, handle: Any) -> str:
    call = getattr(_lib, function)
    call.argtypes, call.restype = [ctypes.c_void_p], ctypes.c_char_p
    return (call(handle) or b"").decode("utf-8", "replace")


class _Props(ctypes.Structure):
    """The first fields of struct ggml_backend_dev_props, and room for the others."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("rest", ctypes.c_byte * 256),
    )


def _pci_bus_id(device: Any) -> str:
    props = _Props()
    call = _lib.ggml_backend_dev_get_props
    call.argtypes, call.restype = [ctypes.c_void_p, ctypes.POINTER(_Props)], None
    call(device, ctypes.byref(props))
    return (props.device_id or b"").decode("utf-8", "replace")


def _device_of(buffer_type: Any) -> Any:
    """Return the device that a buffer type is memory of; None for host memory."""
    is_host = _lib.ggml_backend_buft_is_host
    is_host.argtypes, is_host.restype = [ctypes.c_void_p], ctypes.c_bool
    if is_host(buffer_type):
        return None
    get = _lib.ggml_backend_buft_get_device
    get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_void_p
    device = get(buffer_type)
    # Weights reordered for the CPU lie in a buffer type of its device that is no plain memory.
    return None if not device or _text("ggml_backend_dev_name", device) == "CPU" else device


class _Log:
    """Keeps what the log alone tells: where each layer goes, and why a load fails."""

    def __init__(self) -> None:
        self.layers: dict[int, str] = {}
        self.flash_attn: bool | None = None
        self.copies = 1
        self.errors = LlamaLog()

        @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
        def take(_level: int, text: bytes, _data: ctypes.c_void_p) -> None:
            self._take(text.decode("utf-8", "replace"))

        self.callback = take
        llama_cpp.llama_log_set(take, ctypes.c_void_p(0))

    def _take(self, text: str) -> None:
        if found := _LAYER.search(text):
            self.layers[int(found[1])] = found[2]
        if found := _COPIES.search(text):
            self.copies = int(found[1])
        if found := _FLASH_ATTN.search(text):
            self.flash_attn = found[1] == "enabled"
        self.errors.feed(text)


def measure(settings: LoadSettings, header: GgufHeader, devices: Any = None) -> Measured:
    """Return what llama.cpp would allocate; raises EngineError where it refuses the load.

    `devices` is an array of llama.cpp's devices that ends with NULL; without it all are used.
    """
    check(settings, header, int(llama_cpp.llama_max_devices()))
    log = _Log()
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = header.n_layer + 1 if settings.n_gpu_layers < 0 else settings.n_gpu_layers
    params.split_mode = SPLIT_MODES[settings.split_mode]
    params.main_gpu = settings.main_gpu
    params.load_mode = 0
    params.no_alloc = True
    if devices is not None:
        params.devices = ctypes.cast(devices, ctypes.c_void_p)
    shares = (ctypes.c_float * llama_cpp.llama_max_devices())()
    for index, share in enumerate(settings.tensor_split):
        shares[index] = share
    if settings.tensor_split:
        params.tensor_split = shares
    model = llama_cpp.llama_model_load_from_file(str(header.path).encode(), params)
    if model is None:
        raise EngineError(f"llama.cpp refuses the file: {_reason(log)}")
    context_params = llama_cpp.llama_context_default_params()
    context_params.n_ctx = settings.n_ctx
    context_params.n_batch = settings.n_batch
    context_params.n_ubatch = min(settings.n_ubatch, settings.n_batch)
    context_params.n_outputs_max = 1
    context_params.flash_attn_type = FLASH_ATTN[settings.flash_attn]
    context_params.type_k = KV_TYPES[settings.type_k]
    context_params.type_v = KV_TYPES[settings.type_v]
    context_params.swa_full = False
    context = llama_cpp.llama_init_from_model(model, context_params)
    try:
        if context is None:
            raise EngineError(f"llama.cpp refuses these settings: {_reason(log)}")
        return _measured(model, context, settings, header, log)
    finally:
        if context is not None:
            llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


def _measured(
    model: Any, context: Any, settings: LoadSettings, header: GgufHeader, log: _Log
) -> Measured:
    sizes: dict[str, list[int]] = {"": [0, 0, 0]}
    buses: dict[str, str] = {}
    for node in _breakdown(context):
        device = _device_of(node.buffer_type)
        name = "" if device is None else _text("ggml_backend_dev_name", device)
        if device is not None:
            buses[name] = _pci_bus_id(device)
        at = sizes.setdefault(name, [0, 0, 0])
        for index, size in enumerate((node.model, node.context, node.compute)):
            at[index] += int(size)
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    sizes[""][2] += n_vocab * F32  # The logits of the one token that is asked for.
    names = [*sorted(name for name in sizes if name), ""]
    on = {layer: name if name in buses else "" for layer, name in log.layers.items()}
    # WORKAROUND: where cards work one after another, sizing without allocating
    # (ggml_backend_sched_reserve_size) forgets on which card the first step of a layer was set to
    # run, so it counts that step's result as handed over to every card but the first too.
    if log.copies > 1:
        tokens = min(int(llama_cpp.llama_n_ctx(context)), int(llama_cpp.llama_n_ubatch(context)))
        extra = log.copies * int(llama_cpp.llama_model_n_embd(model)) * tokens * F32
        for name in {at for layer, at in on.items() if layer < header.n_layer} - {on.get(0), ""}:
            sizes[name][2] = max(sizes[name][2] - extra, 0)
    return Measured(
        devices=tuple(
            MeasuredUse(
                name=name,
                pci_bus_id=buses.get(name, ""),
                weights=sizes[name][0],
                kv=sizes[name][1],
                compute=sizes[name][2],
                layers=sum(at == name for layer, at in on.items() if layer < header.n_layer),
                output=on.get(header.n_layer) == name,
            )
            for name in names
        ),
        n_ctx=int(llama_cpp.llama_n_ctx(context)),
        flash_attn=settings.flash_attn == "on" if log.flash_attn is None else log.flash_attn,
    )


def _reason(log: _Log) -> str:
    return f"{log.errors.last_error() or 'it gives no reason'}."


def main() -> int:
    """Answer each line of load settings with a line of sizes, or of an error; all JSON."""
    for line in sys.stdin:
        settings = from_plain(LoadSettings, json.loads(line))
        try:
            answer = {"measured": to_plain(measure(settings, read_header(settings.model)))}
        except RigpanelError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
