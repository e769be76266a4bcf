# SPDX-License-Identifier: MIT
"""Finds out whether an RPC server answers: llama.cpp ends its process over one that does not."""

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rigpanel.engine.messages import EngineError

CONNECT_S = 3.0
ANSWER_S = 3.0
_HELLO = b"\x0e" + (24).to_bytes(8, "little") + bytes(24)
"""What a client of ggml-rpc says first: command, length, the transports it offers (none)."""
_LONGEST_ANSWER = 4096


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port`; raises EngineError for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()):
        raise EngineError(f"{text!r} is no address; write HOST:PORT, for example 10.0.0.2:50052.")
    if ":" in host or "[" in host:
        raise EngineError(f"{text!r}: llama.cpp reaches RPC servers over IPv4 only.")
    if any(character.isspace() or character in "/@?#" for character in host):
        raise EngineError(f"{text!r} is no address; write HOST:PORT, for example 10.0.0.2:50052.")
    if int(port) > 65_535:
        raise EngineError(f"{text!r}: a port is at most 65535.")
    return host, int(port)


def check_server(server: str) -> tuple[str, int]:
    """Return host and port of a server; raises EngineError for an address that cannot be one."""
    host, port = parse_address(server)
    if port == 0:
        raise EngineError(f"{server!r}: the port of a server is at least 1.")
    return host, port


def greet(server: str) -> None:
    """Say hello as llama.cpp would, and go; raises EngineError with what is wrong there."""
    host, port = check_server(server)
    try:
        where = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    except (OSError, UnicodeError) as error:
        raise EngineError(f"RPC server {server}: no machine of that name is found.") from error
    try:
        with socket.create_connection((str(where[0]), port), CONNECT_S) as connection:
            answer = _ask(connection, time.monotonic() + ANSWER_S)
    except TimeoutError as error:
        raise EngineError(
            f"RPC server {server} does not answer. Is it switched on and reachable? One that is in "
            "use by another panel answers nobody else until that one lets go."
        ) from error
    except OSError as error:
        raise EngineError(
            f"RPC server {server} cannot be reached: {error.strerror or error}. "
            "Start `rigpanel lend-devices` there, or check address and firewall."
        ) from error
    if len(answer) < 3:  # Major, minor and patch of the protocol come first.
        raise EngineError(
            f"What answers at {server} is no llama.cpp RPC server. Check the address."
        )


def _ask(connection: socket.socket, end_s: float) -> bytes:
    """Say hello and return what follows the answer's length; empty where there is no sound one.

    Raises TimeoutError where it has not come by `end_s` of the monotonic clock.
    """
    try:
        connection.sendall(_HELLO)
        length = int.from_bytes(_exactly(connection, 8, end_s), "little")
        return _exactly(connection, length, end_s) if length <= _LONGEST_ANSWER else b""
    except (ConnectionResetError, BrokenPipeError):
        return b""


def _exactly(connection: socket.socket, size: int, end_s: float) -> bytes:
    found = b""
    while len(found) < size:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        piece = connection.recv(size - len(found))
        if not piece:
            return b""
        found += piece
    return found


def who_is_gone(servers: Sequence[str]) -> tuple[str, ...]:
    """Return those of `servers` that do not answer any more; asks them all at once."""
    if not servers:
        return ()
    with ThreadPoolExecutor(len(servers)) as pool:
        answers = list(pool.map(_answers, servers))
    return tuple(server for server, well in zip(servers, answers, strict=True) if not well)


def _answers(server: str) -> bool:
    try:
        greet(server)
    except EngineError:
        return False
    return True
