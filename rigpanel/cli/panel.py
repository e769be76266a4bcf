# SPDX-License-Identifier: MIT
"""`rigpanel`: open the panel."""

import argparse
import gc
import importlib.util
import json
import os
import socket
import sys
import time

from rigpanel import paths
from rigpanel.errors import RigpanelError, UsageError

ANSWER_S = 5.0
BEFORE_QT = (
    "numpy",
    "asyncio",
    "concurrent.futures.thread",
    "html",
    "psutil",
    "rigpanel.settings",
    "rigpanel.rig.host",
    "rigpanel.rig.simulated",
    "rigpanel.library.demo_model",
    "rigpanel.library.gguf_header",
    "rigpanel.library.download",
    "rigpanel.library.header_cache",
    "rigpanel.library.places",
    "rigpanel.fit.profiles",
    "rigpanel.fit.rig_devices",
    "rigpanel.engine.checks",
    "rigpanel.engine.dry_run",
    "rigpanel.engine.process_engine",
    "rigpanel.engine.sampling",
    "rigpanel.engine.templates",
    "rigpanel.cooling.service",
    "rigpanel.rig.simulated_control",
    "rigpanel.chat.presets",
    "rigpanel.chat.store",
    "rigpanel.watch.history",
    "rigpanel.watch.phases",
    "rigpanel.watch.sampler",
)
"""Once PySide6 is there it reads the source of every module that is imported, which takes longer
than the import: what does not need Qt comes first."""
NEEDS = ("PySide6", "pyqtgraph", "qasync", "dbus_fast", "markdown_it", "pygments")


class NoDisplayError(RigpanelError):
    """There is nowhere to open a window."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--demo", action="store_true", help="show the simulated rig")
    parser.add_argument("--minimized", action="store_true", help="start in the tray")
    parser.add_argument("--pane", metavar="NAME", help="pane to open with")


def run(options: argparse.Namespace) -> int:
    """Open the window and stay until it is quit; a second start raises the first."""
    require_qt()
    require_display()
    if raise_running(options.pane):
        return 0
    import_before_qt()
    from rigpanel.ui.imports import sources_not_kept

    with sources_not_kept():
        from rigpanel import app

    if options.pane is not None and options.pane not in app.panes():
        raise UsageError(
            f"there is no pane named {options.pane!r}; there are: {', '.join(app.panes())}"
        )
    try:
        demo_wanted = app.run_panel(
            demo=options.demo, minimized=options.minimized, pane=options.pane or "rig"
        )
    except app.AlreadyRunsError:
        # Another start was a moment quicker: it is being built, and answers once it stands.
        if raise_running(options.pane, patience_s=ANSWER_S):
            return 0
        raise
    if demo_wanted:
        # A program begun anew, not a second panel in this one: nothing of the real rig is left.
        os.execv(sys.executable, [sys.executable, "-m", "rigpanel", "--demo"])  # noqa: S606
    return 0


def import_before_qt() -> None:
    """Import what needs no Qt, and look for no garbage: nothing of a start is any."""
    gc.disable()
    for module in BEFORE_QT:
        importlib.import_module(module)


def raise_running(pane: str | None, patience_s: float = 0.0) -> bool:
    """Ask the panel that runs to show its window; says whether there was one.

    Before anything heavy is imported, so that a second start is over at once. A panel that holds
    the socket and does not answer in 5 s raises RigpanelError.
    """
    if not hasattr(socket, "AF_UNIX"):
        return False
    path = paths.instance_socket()
    give_up_at = time.monotonic() + patience_s
    ask = {"pane": pane, "token": os.environ.get("XDG_ACTIVATION_TOKEN")}
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_S)
            try:
                if path.stat().st_uid != os.getuid():  # Somebody else's, in a folder for all.
                    return False
                client.connect(str(path))
                client.sendall(json.dumps(ask).encode() + b"\n")
                answered = client.recv(64) != b""
            except TimeoutError:
                raise RigpanelError(
                    "rigpanel already runs but has not answered for "
                    f"{ANSWER_S:.0f} s. Wait a moment, or end it and start again."
                ) from None
            except OSError:
                answered = False
        if answered:
            print("rigpanel already runs; its window was raised.", file=sys.stderr)
            return True
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(0.1)


def require_qt() -> None:
    """Raise RigpanelError when the parts that draw windows are not installed."""
    for module in NEEDS:
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
