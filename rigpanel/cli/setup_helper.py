# SPDX-License-Identifier: MIT
"""`rigpanel setup-helper`: installs and starts the fan helper, or removes it."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import rigpanel
from rigpanel.cooling import install
from rigpanel.cooling.client import HelperClient, NotRunningError
from rigpanel.cooling.install import InstallError, Places

STARTED_S = 90.0
"""Patience with a password that is being typed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--remove",
        action="store_true",
        help="put limits and fans back, and remove the service, its files and kept curves",
    )
    what.add_argument(
        "--session", action="store_true", help="install nothing; run it while your panel runs"
    )
    parser.add_argument("--socket", metavar="PATH", help="the fan helper's socket")
    parser.add_argument("--root", type=Path, metavar="DIR", help="write the files under DIR only")


def run(options: argparse.Namespace) -> int:
    """Do it, as root where that is needed."""
    if options.session:
        return _session(options)
    if options.root is not None:
        places = Places(options.root)
        if options.remove:
            install.remove(places)
            print(f"The fan helper's files under {options.root} are removed.")
        else:
            install.install(places)
            print(f"The fan helper's files are under {options.root}; nothing was started.")
        return 0
    if os.geteuid() != 0:
        return _again_as_root(options)
    if options.remove:
        return _remove(Places(), options.socket)
    if not install.runs_systemd():
        raise InstallError(
            "This system does not run systemd, so no service can be installed. "
            "`rigpanel setup-helper --session` runs the helper as long as your panel runs."
        )
    install.install(Places())
    install.enable(options.socket)
    _wait(options.socket, None)
    print("The fan helper is installed and runs, now and after every boot.")
    return 0


def _again_as_root(options: argparse.Namespace) -> int:
    home = str(Path(rigpanel.__file__).parents[1])
    command = [*install.as_root(), "env", f"PYTHONPATH={home}", sys.executable, "-m", "rigpanel"]
    command += ["setup-helper", *(["--remove"] if options.remove else [])]
    command += ["--socket", options.socket] if options.socket else []
    print(f"Root is needed: {command[0]} asks for the right.", file=sys.stderr)
    return subprocess.run(command, check=False).returncode


def _remove(places: Places, socket: str | None) -> int:
    """End the helper and put the cards back before the notes that tell how are removed."""
    if install.runs_systemd():
        install.end_service(socket)
    all_back = install.put_cards_back(places, socket)
    install.remove(places)
    if not all_back:
        raise InstallError(
            "The fan helper is removed, but not every fan or power limit could be put back; what "
            "stays is named above. A reboot puts it back."
        )
    print("The fan helper is removed; fans and power limits are the cards' own again.")
    return 0


def _session(options: argparse.Namespace) -> int:
    try:
        HelperClient(options.socket).close()
    except NotRunningError:
        pass
    else:
        print("The fan helper already runs.")
        return 0
    command = install.session_command()
    command += ["--socket", options.socket] if options.socket else []
    at_terminal = command[0].endswith("sudo")  # which asks there, so it must stay with it
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, start_new_session=not at_terminal
    )
    _wait(options.socket, started)
    print("The fan helper runs until your panel has been closed for a minute.")
    return 0


def _wait(socket: str | None, started: "subprocess.Popen[bytes] | None") -> None:
    """Wait until the helper answers; raises InstallError."""
    until_s = time.monotonic() + STARTED_S
    while True:
        try:
            HelperClient(socket).close()
        except NotRunningError as error:
            ended = started is not None and started.poll() is not None
            if ended or time.monotonic() > until_s:
                raise InstallError(
                    "The fan helper did not start. `journalctl -u rigpanel-fand` may say why."
                ) from error
            time.sleep(0.1)
        else:
            return
