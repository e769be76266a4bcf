# SPDX-License-Identifier: MIT
"""How an engine's process ended, in a sentence for people."""

import re
import signal
from collections.abc import Sequence

RELOAD = "The model is gone from memory; load it again to go on."
NOT_LOADED = "Nothing is loaded. Fetch the file again, or try other settings."
_PLACE = re.compile(r"^\S*/([^/\s]+:\d+: )")
"""The path of a source file on the machine llama.cpp was built on."""
_KEEP = r"\1"
_VERSION = re.compile(r"RPC server version mismatch: (\S+)")
_HANDSHAKE = re.compile(r"RPC handshake failed for (\S+)")
_CONNECT = re.compile(r"Failed to connect to (\S+)")
_LOST = "Remote RPC server crashed or returned malformed response"
_OUT_OF_MEMORY = re.compile(r"bad_alloc|out of memory|MemoryError", re.IGNORECASE)


def lost_a_server(lines: Sequence[str]) -> bool:
    """Whether the process ended because an RPC server went away or answered nonsense."""
    return any(_LOST in line or _CONNECT.search(line) for line in lines[-20:])


def how_it_ended(
    code: int | None,
    lines: Sequence[str],
    gone_servers: Sequence[str] = (),
    servers: Sequence[str] = (),
    *,
    loading: bool = False,
) -> str:
    """Say how a process ended: its status, its last lines, which of its RPC servers is to blame.

    Of `servers`, all it had, `gone_servers` do not answer any more.
    """
    then = NOT_LOADED if loading else RELOAD
    by_server = "Start it again there, and load the model again."
    return _end("The engine", code, lines, _who_left(gone_servers, servers), (by_server, then))


def no_answer(
    code: int | None,
    lines: Sequence[str],
    gone_servers: Sequence[str] = (),
    servers: Sequence[str] = (),
) -> str:
    """Say why a process in which llama.cpp was only asked something ended without an answer."""
    by_server = "Look there, then ask again."
    return _end("llama.cpp", code, lines, _who_left(gone_servers, servers), (by_server, ""))


def _end(
    what: str, code: int | None, lines: Sequence[str], who: str, advice: tuple[str, str]
) -> str:
    """Return the sentences; the first advice is for an end that a server brought about."""
    text = "\n".join(lines)
    if other := _another_version(text):
        return other
    if lost_a_server(lines):
        return f"{what} ended because {who}. {advice[0]}"
    return f"{what} {_status(code)}.{_reason(code, text)}{_last_words(lines)} {advice[1]}".rstrip()


def _another_version(text: str) -> str:
    refused = _HANDSHAKE.search(text)
    if refused is None:
        return ""
    version = _VERSION.search(text)
    told = f" (it speaks version {version[1]} of the protocol)" if version else ""
    return (
        f"RPC server {refused[1]} is of another llama.cpp than this one{told}. Bring both "
        "machines to the same version."
    )


def _who_left(gone_servers: Sequence[str], servers: Sequence[str]) -> str:
    if gone_servers:
        return f"RPC server {', '.join(gone_servers)} does not answer any more"
    one = "RPC server" if len(servers) == 1 else "one of the RPC servers"
    return f"{one} {', '.join(servers)} broke off the connection or answered nonsense"


def how_it_hung(verdict: str, silent_servers: Sequence[str] = (), *, loading: bool = False) -> str:
    """Say that a process was ended because it `verdict`, and which RPC servers do not answer."""
    if silent_servers:
        return f"The engine {verdict}, so it was ended. {silent(silent_servers)} Then load again."
    return f"The engine {verdict}, so it was ended. {NOT_LOADED if loading else RELOAD}"


def silent(servers: Sequence[str]) -> str:
    """Say that RPC servers do not answer, what that may mean, and what to do."""
    return (
        f"RPC server {', '.join(servers)} does not answer: it is off, cannot be reached, or works "
        "for another panel. See that it runs and is free."
    )


def does_not_end(pid: int) -> str:
    """Say that a process is there though it was killed."""
    return (
        f"The engine (process {pid}) does not end though it was killed; a driver that hangs holds "
        "it. Its memory comes back with a restart of the machine."
    )


def _status(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _reason(code: int | None, text: str) -> str:
    if code == -signal.SIGKILL:
        return " The system does this when memory runs out."
    if code == -signal.SIGBUS:
        return " Its file was cut or cannot be read any more, or the disk failed."
    if _OUT_OF_MEMORY.search(text):
        return " Memory ran out: fewer layers, a smaller context or a smaller n_ubatch need less."
    return ""


def _last_words(lines: Sequence[str]) -> str:
    last = next((line.strip() for line in reversed(lines) if line.strip()), None)
    return f" Its last words: {_PLACE.sub(_KEEP, last).rstrip('.')}." if last else ""
