# SPDX-License-Identifier: MIT
"""Lends this processor as `rigpanel lend-devices` does, and has llama.cpp tell all it is asked for.

What it tells goes to stderr where GGML_RPC_DEBUG is set; the program itself keeps it quiet.
"""

import socket

from rigpanel.engine.llama.devices import lender


def main() -> None:
    """Serve on a free port until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.bind(("127.0.0.1", 0))
        port = int(trial.getsockname()[1])
    serve = lender(f"127.0.0.1:{port}", 1)
    print(f"Listening on 127.0.0.1:{port}; kill it to end it.", flush=True)
    serve()


if __name__ == "__main__":
    main()
