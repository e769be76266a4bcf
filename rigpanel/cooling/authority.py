# SPDX-License-Identifier: MIT
"""Who may set fans: root, the session's owner, a group, and whom polkit lets."""

import grp
import os
import pwd
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

GROUP = "rigpanel"
ACTION = "io.github.rigpanel.fand.set"
PKCHECK = Path("/usr/bin/pkcheck")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as the kernel names it."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Return who is connected; raises OSError."""
    form = struct.Struct("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size)
    return Peer(*form.unpack(raw))


class Authority:
    """Decides by the kernel's word for who a peer is; asks polkit where that says no."""

    def __init__(self, owner: int | None = None, pkcheck: Path = PKCHECK) -> None:
        self._owner = owner
        self._pkcheck = pkcheck

    def may_set(self, peer: Peer) -> bool:
        """Whether a peer may set without anyone being asked."""
        return peer.uid in {0, self._owner} or _in_group(peer)

    def ask(self, peer: Peer) -> "subprocess.Popen[bytes] | None":
        """Start to ask polkit, which may show a dialog; it exits with 0 for yes.

        None where there is no polkit to ask, or the peer is gone.
        """
        try:
            # Start time beside the process id: an id given out again is another process.
            stat = Path(f"/proc/{peer.pid}/stat").read_text(encoding="utf-8", errors="replace")
            started = stat.rpartition(")")[2].split()[19]
            return subprocess.Popen(
                [
                    str(self._pkcheck),
                    *("--action-id", ACTION, "--allow-user-interaction"),
                    *("--process", f"{peer.pid},{started},{peer.uid}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, IndexError):
            return None


def _in_group(peer: Peer) -> bool:
    try:
        wanted = grp.getgrnam(GROUP).gr_gid
        name = pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        return False
    return wanted in os.getgrouplist(name, peer.gid)
