# SPDX-License-Identifier: MIT
"""`rigpanel`: open the panel."""

import argparse
import importlib.util
import os
import sys

from rigpanel.errors import RigpanelError, UsageError


class NoDisplayError(RigpanelError):
    """There is nowhere to open a window."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--demo", action="store_true", help="show the simulated rig")
    parser.add_argument("--minimized", action="store_true", help="start in the tray")
    parser.add_argument("--pane", metavar="NAME", default="rig", help="pane to open with")


def run(options: argparse.Namespace) -> int:
    """Open the window and stay until it is quit; a second start raises the first."""
    require_qt()
    require_display()
    from rigpanel import app

    if options.pane not in app.panes():
        raise UsageError(
            f"there is no pane named {options.pane!r}; there are: {', '.join(app.panes())}"
        )
    return app.run_panel(demo=options.demo, minimized=options.minimized, pane=options.pane)


def require_qt() -> None:
    """Raise RigpanelError when the parts that draw windows are not installed."""
    for module in ("PySide6", "pyqtgraph", "qasync"):
        if importlib.util.find_spec(module) is None:
            raise RigpanelError(
                f"the window needs {module}, which is not installed: "
                'pip install "rigpanel[panel]". `rigpanel gpus` and `rigpanel chat` work without.'
            )


def require_display() -> None:
    """Raise NoDisplayError on a Linux machine without an X or Wayland display."""
    if not sys.platform.startswith("linux"):
        return
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        raise NoDisplayError(
            "no display to open a window on (DISPLAY and WAYLAND_DISPLAY are not set). Start it "
            "from a desktop, or use `rigpanel gpus`, `rigpanel chat` and `rigpanel screenshot`."
        )
