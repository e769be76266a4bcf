# SPDX-License-Identifier: MIT
"""The command line: one module a subcommand, imported only when it is called."""

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rigpanel.cli.terminal import harmless
from rigpanel.errors import RigpanelError, UsageError

COMMANDS = {
    "panel": "open the panel (also what plain `rigpanel` does)",
    "gpus": "one snapshot of every GPU and the host",
    "models": "the GGUF files found on this machine",
    "inspect": "one model file's header",
    "fit": "where a model's memory goes, for each card",
    "fans": "every fan and who holds it; set curves, hand fans back",
    "power": "set a card's power limit",
    "setup-helper": "install and start the fan helper, or remove it",
    "chat": "one reply from a model, or an interactive chat",
    "lend-devices": "lend this machine's devices to another panel (llama.cpp RPC)",
    "screenshot": "draw the real window offscreen and save it",
}
"""Subcommand to the line that describes it; its module has add_arguments and run."""
INTERRUPTED = 130
"""Exit status after Ctrl+C, as shells have it (128 + SIGINT)."""


class _Parser(argparse.ArgumentParser):
    """Tells bad usage in one line: `chat` alone has forty options, and none is the mistake."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where every option is named, and exit."""
        line = harmless(" ".join(message.split("\n")))
        self.exit(2, f"{self.prog}: {line} (see `{self.prog} --help`)\n")


def _module(name: str) -> Any:
    return importlib.import_module(f"rigpanel.cli.{name.replace('-', '_')}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 bad usage, 130 Ctrl+C."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(words: list[str]) -> int:
    _open_closed_streams()
    _bear_any_name()
    options = _parse(words)
    if options.version:
        from rigpanel import __version__

        print(f"rigpanel {__version__}")
        return 0
    try:
        status: int = _module(options.command).run(options)
        sys.stdout.flush()
    except RigpanelError as error:
        line = harmless(" ".join(str(error).split("\n")))  # A file's name may have several.
        print(f"rigpanel {options.command}: {line}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        if error.filename is not None:
            raise
        _drop_output()
        if not isinstance(error, BrokenPipeError):  # Else whoever read has enough.
            _tell(f"rigpanel {options.command}: its output cannot be written: {error.strerror}")
        return 1
    return status


def _parse(words: list[str]) -> argparse.Namespace:
    if words[:1] == ["--demo"] and words[1:2] and words[1] in COMMANDS:
        words[:2] = [words[1], "--demo"]  # which rig, said before what to do with it
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}):
        words.insert(0, "panel")
    parser = _Parser(
        prog="rigpanel", description="Load, chat with and watch a model on a rig of NVIDIA cards."
    )
    parser.add_argument("--version", action="store_true", help="say which version this is")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, description in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=description, description=description)
        if words[0] == name:
            _module(name).add_arguments(subparser)
    return parser.parse_args(words)


def _open_closed_streams() -> None:
    """Give a process started without one of its three streams an empty one.

    Else the next file or socket opened would take its number, and be written to for it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _bear_any_name() -> None:
    """Have stdout take names of files that are no text: their bytes become JSON's escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that it does not fail again at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)
