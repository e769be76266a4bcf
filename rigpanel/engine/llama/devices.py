# SPDX-License-Identifier: MIT
"""llama.cpp's devices: listed, chosen by name, and joined by those of RPC servers."""

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from typing import Any

from rigpanel.engine.checks import check_devices
from rigpanel.engine.devices import HOLDERS, Device, DeviceKind, default_names
from rigpanel.engine.llama.ggml import DeviceProps, ggml, rpc_function
from rigpanel.engine.messages import EngineError, LoadCancelledError
from rigpanel.engine.rpc_peer import greet
from rigpanel.fit.load_settings import LoadSettings

MIB = 1024 * 1024
_KINDS = {0: DeviceKind.CPU, 1: DeviceKind.GPU, 2: DeviceKind.GPU, 3: DeviceKind.ACCEL}
"""Enum ggml_backend_dev_type; an integrated GPU is a GPU."""
_WITHOUT_RPC = (
    "This llama-cpp-python was built without RPC. Build it with CMAKE_ARGS=-DGGML_RPC=ON "
    "(./packaging/run does)."
)

_servers: dict[str, Any] = {}
"""Registry of each server met in this process: llama.cpp never forgets one."""


@contextlib.contextmanager
def meeting(
    servers: tuple[str, ...], cancelled: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Make the devices of RPC servers known to llama.cpp, and stay connected to them meanwhile.

    Else it connects anew for each question, and a server answers one client at a time: another
    that came between would hold a load up. Raises EngineError naming the server. A server that says
    hello and then turns out to be of another version ends the process: that is llama.cpp's way,
    and told by whoever watches the process.
    """
    add = rpc_function("ggml_backend_rpc_add_server", ctypes.c_void_p, ctypes.c_char_p)
    if servers and add is None:
        raise EngineError(_WITHOUT_RPC)
    with contextlib.ExitStack() as connections:
        for server in dict.fromkeys(servers):
            if cancelled():
                raise LoadCancelledError("The load was cancelled.")
            greet(server)
            if server not in _servers:
                _servers[server] = _known(add(server.encode()), server)
            device = ggml.ggml_backend_reg_dev_get(_servers[server], 0)
            connections.callback(ggml.ggml_backend_free, ggml.ggml_backend_dev_init(device, None))
        yield


def _known(registry: Any, server: str) -> Any:
    """Return the registry of a server's devices once llama.cpp lists them."""
    if not registry:
        raise EngineError(f"RPC server {server} lends no device. See what it says over there.")
    ggml.ggml_backend_register(registry)
    return registry


def _pointers() -> list[Any]:
    return [ggml.ggml_backend_dev_get(index) for index in range(ggml.ggml_backend_dev_count())]


def _describe(pointer: Any) -> Device:
    props = DeviceProps()
    ggml.ggml_backend_dev_get_props(pointer, ctypes.byref(props))
    lent = _registry_name(pointer).startswith("RPC")
    description = _text(props.description)
    return Device(
        name=_text(props.name),
        description="lent over RPC" if lent else description,
        kind=DeviceKind.RPC if lent else _KINDS.get(props.type, DeviceKind.ACCEL),
        free_mib=props.memory_free / MIB,
        total_mib=props.memory_total / MIB,
        address=description if lent else _text(props.device_id),
    )


def _registry_name(pointer: Any) -> str:
    return _text(ggml.ggml_backend_reg_name(ggml.ggml_backend_dev_backend_reg(pointer)))


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def listed() -> tuple[Device, ...]:
    """Return every device there is now, those of registered servers included."""
    return tuple(_describe(pointer) for pointer in _pointers())


def chosen(settings: LoadSettings) -> tuple[Any, tuple[Device, ...]]:
    """Return the NULL-terminated array of devices to offload to, and what stands in it.

    The array must be kept until the model is loaded. Raises EngineError for a name that is none.
    """
    known = {device.name: (pointer, device) for pointer, device in _usable(settings)}
    listed = tuple(device for _, device in known.values())
    names = settings.devices or default_names(listed)
    check_devices(settings, names, listed)
    kept = [known[name] for name in names if known[name][1].kind is not DeviceKind.CPU]
    array = (ctypes.c_void_p * (len(kept) + 1))(*[pointer for pointer, _ in kept], None)
    return array, tuple(device for _, device in kept)


def _usable(settings: LoadSettings) -> list[tuple[Any, Device]]:
    """Return all devices but those of servers that an earlier load brought in."""
    found = [(pointer, _describe(pointer)) for pointer in _pointers()]
    return [
        (pointer, device)
        for pointer, device in found
        if device.kind is not DeviceKind.RPC or device.address in settings.rpc_servers
    ]


def only_the_processor(settings: LoadSettings) -> bool:
    """Whether nothing of a model loaded so is anywhere else."""
    return settings.n_gpu_layers == 0 or not any(
        device.kind in HOLDERS and (not settings.devices or device.name in settings.devices)
        for _, device in _usable(settings)
    )


def buffer_names(devices: tuple[Device, ...]) -> dict[str, str]:
    """Return the device for each name its buffers have in the log: `RPC0[host:port]`.

    There the number counts the devices of one server, in the device's name those of all of them.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for device in devices:
        if device.kind is DeviceKind.RPC:
            number = counts.get(device.address, 0)
            counts[device.address] = number + 1
            names[f"RPC{number}[{device.address}]"] = device.name
    return names


def lender(endpoint: str, threads: int) -> Callable[[], None]:
    """Return what serves this machine's cards, or its processor where it has none.

    It returns only when the server could not be started. Raises EngineError without RPC.
    """
    start = rpc_function(
        "ggml_backend_rpc_start_server",
        None,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.c_void_p,
    )
    if start is None:
        raise EngineError(_WITHOUT_RPC)
    names = {device.name for device in lendable()}
    pointers = [pointer for pointer in _pointers() if _describe(pointer).name in names]
    array = (ctypes.c_void_p * len(pointers))(*pointers)
    return lambda: start(endpoint.encode(), None, threads, len(pointers), array)


def lendable() -> tuple[Device, ...]:
    """Return the devices that `lender` lends."""
    devices = listed()
    cards = tuple(device for device in devices if device.kind is DeviceKind.GPU)
    return cards or tuple(device for device in devices if device.kind is DeviceKind.CPU)
