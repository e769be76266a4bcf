# SPDX-License-Identifier: MIT
"""`rigpanel screenshot`: draw the real window offscreen and save it."""

import argparse
import os
import re
import sys
from pathlib import Path

from rigpanel.cli.panel import require_qt
from rigpanel.errors import RigpanelError, UsageError

LEAST, MOST = (720, 480), (7680, 4320)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("out", metavar="OUT.png", type=Path, help="file to write")
    parser.add_argument("--pane", metavar="NAME", default="rig", help="pane to draw")
    parser.add_argument("--demo", action="store_true", help="draw the simulated rig")
    parser.add_argument("--size", metavar="WxH", default="1440x900", help="size in pixels")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")


def run(options: argparse.Namespace) -> int:
    """Draw one pane and print where the picture is."""
    size = re.fullmatch(r"(\d{2,5})x(\d{2,5})", options.size)
    if size is None:
        raise UsageError(f"--size {options.size}: must be WIDTHxHEIGHT in pixels, as 1280x800")
    width, height = int(size[1]), int(size[2])
    if not (LEAST[0] <= width <= MOST[0] and LEAST[1] <= height <= MOST[1]):
        raise UsageError(f"--size {options.size}: from 720x480, the window's least, to 7680x4320")
    if options.out.suffix.lower() != ".png":
        raise UsageError(f"{options.out}: the picture is a PNG; give a name that ends in .png")
    if not options.out.parent.is_dir():
        raise RigpanelError(f"{options.out.parent} is not a folder; make it first")
    require_qt()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from rigpanel import app, picture

    if options.pane not in app.panes():
        raise UsageError(
            f"there is no pane named {options.pane!r}; there are: {', '.join(app.panes())}"
        )
    picture.take_screenshot(
        options.out, pane=options.pane, demo=options.demo, size=(width, height), theme=options.theme
    )
    print(options.out)
    if options.demo:
        print("The rig in it is simulated.", file=sys.stderr)
    return 0
