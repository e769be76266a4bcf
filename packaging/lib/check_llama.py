# SPDX-License-Identifier: MIT
"""Say what the installed llama-cpp-python can do; exit 1 when it lacks what was asked for."""

import ctypes
import sys
from pathlib import Path

import llama_cpp


def has_cuda() -> bool:
    """Whether CUDA is a registered backend (`llama_supports_gpu_offload` counts RPC too)."""
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml.so"))
    library.ggml_backend_reg_by_name.restype = ctypes.c_void_p
    return bool(library.ggml_backend_reg_by_name(b"CUDA"))


def main() -> int:
    """Check RPC always, CUDA where `cuda` is the argument."""
    if not llama_cpp.llama_supports_rpc():
        print("built without RPC")
        return 1
    if "cuda" in sys.argv[1:] and not has_cuda():
        print("built without CUDA, or no card answers")
        return 1
    print(f"{llama_cpp.__version__}, RPC on, CUDA {'on' if has_cuda() else 'off'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
