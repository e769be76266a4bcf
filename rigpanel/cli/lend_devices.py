# SPDX-License-Identifier: MIT
"""`rigpanel lend-devices`: lends this machine's devices to a panel as a llama.cpp RPC server."""

import argparse
import ipaddress
import os
import signal
import socket
import sys
import threading

import psutil

from rigpanel.engine.messages import EngineError
from rigpanel.engine.rpc_peer import parse_address
from rigpanel.errors import UsageError

DEFAULT_BIND = "127.0.0.1:50052"
ENDS = (signal.SIGINT, signal.SIGTERM)
LOOK_S = 0.5
RPC_WARNING = (
    "llama.cpp's RPC has no authentication and no encryption: whoever reaches the port can use "
    "and crash this machine's devices."
)
OPEN_WARNING = (
    "WARNING: {endpoint} is reachable from other machines. Lend on a private network only, behind "
    "a firewall, never to the Internet."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "--bind",
        metavar="HOST:PORT",
        default=DEFAULT_BIND,
        help=f"where to listen ({DEFAULT_BIND}); port 0 takes a free one and says which",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl+C or SIGTERM; raises UsageError for a bad address, EngineError else."""
    try:
        host, port = parse_address(options.bind)
    except EngineError as error:
        raise UsageError(f"--bind {error}") from error
    endpoint = f"{host}:{_free_port(host, port)}"
    # Before any other thread is there, so that these signals reach none but the one that waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    os.environ["GGML_NO_BACKTRACE"] = "1"
    from rigpanel.engine.llama.devices import lendable, lender

    threads = min(psutil.cpu_count(logical=False) or 1, len(os.sched_getaffinity(0)))
    serve = lender(endpoint, threads)
    for device in lendable():
        print(
            f"Lends {device.name}: {device.description}, {device.free_mib:.0f} of "
            f"{device.total_mib:.0f} MiB free, {threads} threads"
        )
    print(RPC_WARNING, file=sys.stderr)
    if not _is_loopback(host):
        print(OPEN_WARNING.format(endpoint=endpoint), file=sys.stderr)
    server = threading.Thread(target=serve, name="lender", daemon=True)
    server.start()
    print(f"Listening on {endpoint}; Ctrl+C ends it.", flush=True)
    while signal.sigtimedwait(ENDS, LOOK_S) is None:
        if not server.is_alive():
            raise EngineError(f"The server on {endpoint} ended; llama.cpp says why above.")
    sys.stderr.flush()
    os._exit(0)  # The server's thread is in llama.cpp and does not come back.


def _free_port(host: str, port: int) -> int:
    """Return a port that can be listened on there; raises EngineError with why there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
            return int(trial.getsockname()[1])
    except socket.gaierror as error:
        raise UsageError(f"--bind {host}: no machine of that name is found") from error
    except OSError as error:
        raise EngineError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Choose another with --bind."
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
