# SPDX-License-Identifier: MIT
"""The few functions of ggml's backend registry that llama-cpp-python does not bind."""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp

_POINTER = ctypes.c_void_p
_SIZE = ctypes.c_size_t


class DeviceProps(ctypes.Structure):
    """Struct ggml_backend_dev_props of ggml-backend.h, with room behind it for fields to come."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", _SIZE),
        ("memory_total", _SIZE),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("caps", ctypes.c_bool * 5),
        ("reserve", ctypes.c_char * 256),
    )


_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "ggml_backend_reg_by_name": (_POINTER, [ctypes.c_char_p]),
    "ggml_backend_reg_name": (ctypes.c_char_p, [_POINTER]),
    "ggml_backend_reg_dev_count": (_SIZE, [_POINTER]),
    "ggml_backend_reg_dev_get": (_POINTER, [_POINTER, _SIZE]),
    "ggml_backend_reg_get_proc_address": (_POINTER, [_POINTER, ctypes.c_char_p]),
    "ggml_backend_register": (None, [_POINTER]),
    "ggml_backend_dev_count": (_SIZE, []),
    "ggml_backend_dev_get": (_POINTER, [_SIZE]),
    "ggml_backend_dev_get_props": (None, [_POINTER, ctypes.POINTER(DeviceProps)]),
    "ggml_backend_dev_init": (_POINTER, [_POINTER, ctypes.c_char_p]),
    "ggml_backend_free": (None, [_POINTER]),
    "ggml_backend_dev_name": (ctypes.c_char_p, [_POINTER]),
    "ggml_backend_buft_is_host": (ctypes.c_bool, [_POINTER]),
    "ggml_backend_buft_get_device": (_POINTER, [_POINTER]),
    "ggml_backend_dev_backend_reg": (_POINTER, [_POINTER]),
}


def _bind() -> ctypes.CDLL:
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml.so"))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


ggml = _bind()


def rpc_function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of the RPC backend, or None where llama.cpp is built without it."""
    registry = ggml.ggml_backend_reg_by_name(b"RPC")
    address = registry and ggml.ggml_backend_reg_get_proc_address(registry, name.encode())
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None
