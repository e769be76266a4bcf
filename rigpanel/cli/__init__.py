# SPDX-License-Identifier: MIT
"""The command line: one module a subcommand, imported only when it is called."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

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


def _module(name: str) -> Any:
    return importlib.import_module(f"rigpanel.cli.{name.replace('-', '_')}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 bad usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--demo"] and words[1:2] and words[1] in COMMANDS:
        words[:2] = [words[1], "--demo"]  # which rig, said before what to do with it
    if not words or (words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}):
        words.insert(0, "panel")
    parser = argparse.ArgumentParser(
        prog="rigpanel", description="Load, chat with and watch a model on a rig of NVIDIA cards."
    )
    parser.add_argument("--version", action="store_true", help="say which version this is")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, description in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=description, description=description)
        if words[0] == name:
            _module(name).add_arguments(subparser)
    options = parser.parse_args(words)
    if options.version:
        from rigpanel import __version__

        print(f"rigpanel {__version__}")
        return 0
    try:
        status: int = _module(options.command).run(options)
    except UsageError as error:
        print(f"rigpanel {options.command}: {error}", file=sys.stderr)
        return 2
    except RigpanelError as error:
        print(f"rigpanel {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return status
