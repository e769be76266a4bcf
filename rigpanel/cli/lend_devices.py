# SPDX-License-Identifier: MIT
"""`rigpanel lend-devices`: lends this machine's devices to a panel as a llama.cpp RPC server."""

import argparse
import contextlib
import ipaddress
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import TextIO

import psutil

from rigpanel.engine.lender_socket import SilentClients, guard, listener
from rigpanel.engine.messages import EngineError
from rigpanel.engine.rpc_peer import parse_address
from rigpanel.errors import UsageError

DEFAULT_BIND = "127.0.0.1:50052"
ENDS = (signal.SIGINT, signal.SIGTERM)
LOOK_S, START_LOOK_S = 0.5, 0.01
LONGEST_LINE = 4096
"""A pipe that has room takes so much without waiting."""
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
        asked = parse_address(options.bind)
    except EngineError as error:
        raise UsageError(f"--bind {error}") from error
    host, port = _free_place(*asked)
    endpoint = f"{host}:{port}"
    # Before any other thread is there, so that these signals reach none but the one that waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    os.environ["GGML_NO_BACKTRACE"] = "1"
    from rigpanel.engine.llama.devices import lendable, lender
    from rigpanel.engine.llama.runtime import prepare

    prepare(_tell)
    threads = min(psutil.cpu_count(logical=False) or 1, len(os.sched_getaffinity(0)))
    serve = lender(endpoint, threads)
    for device in lendable():
        print(
            f"Lends {device.name}: {device.description}, {device.free_mib:.0f} of "
            f"{device.total_mib:.0f} MiB free, {threads} threads"
        )
    print(RPC_WARNING, file=sys.stderr)
    if not ipaddress.ip_address(host).is_loopback:
        print(OPEN_WARNING.format(endpoint=endpoint), file=sys.stderr)
    sys.stderr.flush()
    _serve(threading.Thread(target=serve, name="lender", daemon=True), endpoint, port)
    sys.stderr.flush()
    os._exit(0)  # The server's thread is in llama.cpp and does not come back.


def _serve(server: threading.Thread, endpoint: str, port: int) -> None:
    """Run the server until a signal says to end; raises EngineError where it ends by itself."""
    out = _keep_stdout()
    silent = SilentClients(port)
    server.start()
    listens = False
    while signal.sigtimedwait(ENDS, LOOK_S if listens else START_LOOK_S) is None:
        if not server.is_alive():
            raise EngineError(f"The server on {endpoint} ended; llama.cpp says why above.")
        if listens:
            silent.look(time.monotonic())
        elif (found := listener(port)) is not None:
            with found:
                guard(found)
            listens = True
            print(f"Listening on {endpoint}; Ctrl+C ends it.", file=out, flush=True)


def _keep_stdout() -> TextIO:
    """Return stdout, and have what llama.cpp prints there itself go nowhere.

    It prints two lines a connection, of which a load makes several. Once a pipe that nobody reads
    is full, or a terminal is held by Ctrl+S, the server would stand still, and its clients with it.
    """
    sys.stdout.flush()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return out


def _tell(line: str) -> None:
    """Write a line of llama.cpp's log to stderr, unless nobody reads there: see `_keep_stdout`."""
    ready = select.poll()
    ready.register(sys.stderr.fileno(), select.POLLOUT)
    if line and ready.poll(0):
        with contextlib.suppress(OSError):
            text = line.encode("utf-8", "replace")[: LONGEST_LINE - 1] + b"\n"
            os.write(sys.stderr.fileno(), text)


def _free_place(host: str, port: int) -> tuple[str, int]:
    """Return an address as a number and a port to listen on there.

    Raises UsageError for a name that is none, EngineError with why it cannot be listened on.
    """
    try:
        number = str(socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--bind {host}: no machine of that name is found") from error
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((number, port))
            return number, int(trial.getsockname()[1])
    except OSError as error:
        raise EngineError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Choose another with --bind."
        ) from error
