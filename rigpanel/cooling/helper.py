# SPDX-License-Identifier: MIT
"""`rigpanel-fand`: the fan helper, which runs as root and hands every fan back when it ends."""

import argparse
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rigpanel.cooling import restore
from rigpanel.cooling.guard import ENDING, HUNG_S, NOT_STARTED, run_guarded

STATE_DIR = Path("/var/lib/rigpanel")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the helper, or put back what one set; return the exit status.

    0: all is handed back; 1: something stays, or it cannot run; 2: bad usage.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    backwards = {"--restore-auto": _restore_auto, "--restore-limits": _restore_limits}
    asked = [way for word, way in backwards.items() if word in words]
    if asked:
        return max(way(words) for way in asked)
    options = _parser().parse_args(words)
    if options.suspend or options.resume:
        return _announce_sleep(options.socket, going=options.suspend)
    if os.geteuid() != 0:
        _say(
            "only root may set the fans of NVIDIA cards. Run `rigpanel setup-helper`, or start it "
            "with sudo."
        )
        return 1
    if os.environ.get("WATCHDOG_PID") == str(os.getpid()):
        return min(_run(options, lambda: None), 1)  # systemd watches it, and hands back after it
    return run_guarded(lambda beat: _run(options, beat), options.hung_after)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rigpanel-fand",
        allow_abbrev=False,  # `--restore` would start it
        description="Keep fan curves and power limits; hand every fan back at the end.",
    )
    parser.add_argument("--socket", metavar="PATH", help="the socket to serve")
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("STATE_DIRECTORY") or STATE_DIR),
        help=f"where curves and the way back of power limits are kept ({STATE_DIR})",
    )
    parser.add_argument("--restore-auto", action="store_true", help="hand every fan back, and exit")
    parser.add_argument(
        "--restore-limits",
        action="store_true",
        help="put back the power limits it has changed, and exit",
    )
    parser.add_argument(
        "--session-of",
        metavar="UID",
        type=int,
        help="let this user set, and end once nobody who may is connected",
    )
    parser.add_argument("--suspend", action="store_true", help="tell it that the machine sleeps")
    parser.add_argument("--resume", action="store_true", help="tell it that the machine woke")
    parser.add_argument(
        "--hung-after",
        metavar="S",
        type=float,
        default=HUNG_S,
        help="seconds without a tick after which it counts as hung",
    )
    return parser


def _run(options: argparse.Namespace, beat: Callable[[], None]) -> int:
    import logging

    from rigpanel.cooling.authority import Authority
    from rigpanel.cooling.hardware import open_control
    from rigpanel.cooling.listener import AlreadyServedError, ListenerError
    from rigpanel.cooling.loop import CoolingLoop
    from rigpanel.cooling.protocol import socket_path
    from rigpanel.cooling.server import Server
    from rigpanel.cooling.service import CoolingService
    from rigpanel.cooling.state import StateStore

    def alive() -> None:
        beat()
        _tell_systemd("WATCHDOG=1")

    logging.basicConfig(level=logging.INFO, format="rigpanel-fand: %(message)s")
    service = CoolingService(CoolingLoop(open_control()), StateStore(options.state_dir))
    server = Server(
        socket_path(options.socket),
        service,
        Authority(options.session_of),
        alive,
        options.session_of,
    )
    _stop_on_signals(server.stop, server.watch)
    failed = True
    try:
        server.open()
        try:
            service.start()
            _tell_systemd("READY=1")
            server.run()
            failed = False
        finally:
            _tell_systemd("STOPPING=1")
            # Fans before all else: what comes after may fail.
            problems = service.stop()
            for problem in problems:
                _say(problem)
            failed = failed or bool(problems)
    except ListenerError as error:
        _say(str(error))
        # Where another helper serves, the fans are its own; else what a dead one left is handed
        # back by who sees this fail.
        return NOT_STARTED if isinstance(error, AlreadyServedError) else 1
    finally:
        for number in ENDING:  # one that comes late must not look like a crash
            signal.signal(number, signal.SIG_IGN)
        server.close()
        service.loop.control.close()
    return 1 if failed else 0


def _stop_on_signals(
    stop: Callable[[], None], watch: Callable[[int, Callable[[], None]], None]
) -> None:
    """End at a signal that asks for it, also while waiting for clients."""
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)

    def drain() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(ours, 64)

    for number in ENDING:
        signal.signal(number, lambda _number, _frame: stop())
    watch(ours, drain)


def _tell_systemd(word: str) -> None:
    """Send systemd, if it started this, a word; whether it listens is its own business."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.sendto(word.encode(), address)


def _announce_sleep(path: str | None, *, going: bool) -> int:
    """Tell the helper that the machine goes to sleep or wakes; hand back where none answers."""
    from rigpanel.cooling.client import HelperClient, HelperError

    try:
        with HelperClient(path) as client:
            client.ask("suspend" if going else "resume")
    except HelperError as error:
        if not going:
            _say(str(error))
            return 1
        return restore.main()
    return 0


def _restore_auto(words: Sequence[str]) -> int:
    """Hand every fan back; a helper that runs forgets its curves, or it would take them again."""
    failed = restore.main()  # before what is imported here, which may be broken
    from rigpanel.cooling.client import (
        HelperClient,
        HelperError,
        NoPermissionError,
        NotRunningError,
    )

    options, _ = _parser().parse_known_args(words)
    try:
        with HelperClient(options.socket) as client:
            client.ask("auto")
    except (NotRunningError, NoPermissionError):
        pass
    except HelperError as error:
        _say(f"a helper runs and may take the fans again: {error}")
    return failed


def _restore_limits(words: Sequence[str]) -> int:
    """Put power limits back, beside a helper that runs or without one."""
    if os.geteuid() != 0:
        _say("only root may put power limits back: run this as root.")
        return 1
    from rigpanel.cooling.hardware import open_control
    from rigpanel.cooling.restore_limits import restore_limits
    from rigpanel.cooling.state import StateStore

    options = _parser().parse_args(words)
    return restore_limits(open_control(), StateStore(options.state_dir), options.socket)


def _say(sentence: str) -> None:
    sys.stderr.write(f"rigpanel-fand: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
