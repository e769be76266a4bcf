# SPDX-License-Identifier: MIT
"""The fake driver from a shell.

eval "$(python -m tests.fakes.nvml new /tmp/rig two_3090s)"   # this shell now has two cards
python -m tests.fakes.nvml poke /tmp/rig 1 temperature_c=86
python -m tests.fakes.nvml lose /tmp/rig 1
"""

import argparse
import shlex
from pathlib import Path

from tests.fakes.nvml.rig import VARIABLE, FakeRig

RIGS = {"two_3090s": FakeRig.two_3090s, "eight": FakeRig.eight, "empty": FakeRig.empty}


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.fakes.nvml", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    new = verbs.add_parser("new", help="make a rig and print the exports that show it")
    new.add_argument("path", type=Path)
    new.add_argument("rig", choices=RIGS, nargs="?", default="two_3090s")
    for name in ("poke", "lose", "bring-back"):
        verb = verbs.add_parser(name)
        verb.add_argument("path", type=Path)
        verb.add_argument("card", type=int)
        if name == "poke":
            verb.add_argument("readings", nargs="+", metavar="NAME=NUMBER")
    options = parser.parse_args()
    if options.verb == "new":
        shown = RIGS[options.rig](options.path).env()
        for variable in (VARIABLE, "LD_LIBRARY_PATH"):
            print(f"export {variable}={shlex.quote(shown[variable])}")
        return
    rig = FakeRig(options.path)
    if options.verb == "lose":
        rig.lose(options.card)
    elif options.verb == "bring-back":
        rig.bring_back(options.card)
    else:
        names = {field[0] for field in type(rig.card(0))._fields_}
        for reading in options.readings:
            name, _, number = reading.partition("=")
            if name not in names:
                parser.error(f"a card has no {name!r}; it has: {', '.join(sorted(names))}")
            setattr(rig.card(options.card), name, int(number))


if __name__ == "__main__":
    main()
