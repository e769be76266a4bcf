# SPDX-License-Identifier: MIT
"""Start to first painted frame: the panel against a bare PySide6 and pyqtgraph window.

Run: python -m tests.benchmarks.start_time [--runs N] [--platform offscreen|xcb]
"""

import argparse
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).parents[2]
LIMIT_S = 30.0
AIM = 1.5
"""The panel may take this many times what the bare window takes."""

WATCH = """
import os, sys
from PySide6.QtCore import QEvent, QObject, QTimer, Slot

class FirstPaint(QObject):
    # The first paint event comes before the frame's painting; the timer it starts runs after it.
    seen = False
    def eventFilter(self, receiver, event):
        if not self.seen and event.type() == QEvent.Type.Paint and receiver.isWidgetType():
            self.seen = True
            QTimer.singleShot(0, self.painted)
        return False
    @Slot()
    def painted(self):
        print("painted", flush=True)
        os._exit(0)
"""
BARE = (
    WATCH
    + """
import pyqtgraph
from PySide6.QtWidgets import QApplication, QMainWindow
app = QApplication(sys.argv[:1])
watch = FirstPaint()
window = QMainWindow()
plot = pyqtgraph.PlotWidget()
plot.plot(range(60))
window.setCentralWidget(plot)
window.resize(1280, 800)
app.installEventFilter(watch)
window.show()
app.exec()
"""
)
PANEL = (
    """
from rigpanel.cli.panel import import_before_qt
import_before_qt()
"""
    + WATCH
    + """
from rigpanel import app
from rigpanel.cli import main
class Watched(app.MainWindow):
    # Only from here on: a filter in Python would slow the building of so many widgets.
    def showEvent(self, event):
        app.QApplication.instance().installEventFilter(watch)
        super().showEvent(event)
watch = FirstPaint()
app.MainWindow = Watched
main(["panel", "--demo"])
"""
)


def seconds_to_first_frame(script: str, platform: str, bytecode: str) -> float:
    """Start an interpreter with `script` and wait until it says that it has painted.

    Both find what they import compiled in `bytecode`, as every start but an installation's first.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {
            "RIGPANEL_HOME": home,
            "XDG_RUNTIME_DIR": home,
            "QT_QPA_PLATFORM": platform,
            "PYTHONPYCACHEPREFIX": bytecode,
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        begun = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=TOP,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            ready, _, _ = select.select([child.stdout], [], [], LIMIT_S)
            taken = time.perf_counter() - begun
            if not ready:
                child.kill()
            line = child.stdout.readline()
            if line.strip() != "painted":
                raise SystemExit(f"no frame was painted:\n{child.stderr.read()}")
    return taken


def main() -> int:
    """Take pairs by turns, so that what else the machine does falls on both; print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="pairs of starts")
    parser.add_argument("--platform", default="offscreen", help="Qt platform plugin")
    options = parser.parse_args()
    bare: list[float] = []
    panel: list[float] = []
    with tempfile.TemporaryDirectory() as bytecode:
        for script in (BARE, PANEL):  # compiles, and fills the file cache, uncounted
            seconds_to_first_frame(script, options.platform, bytecode)
        for run in range(options.runs):
            pairs = [(bare, BARE), (panel, PANEL)]
            for times, script in pairs if run % 2 == 0 else reversed(pairs):
                times.append(seconds_to_first_frame(script, options.platform, bytecode))
    ratio = statistics.median(panel) / statistics.median(bare)
    for name, times in (("bare window", bare), ("panel", panel)):
        print(
            f"{name:12} median {statistics.median(times) * 1000:6.0f} ms   "
            f"min {min(times) * 1000:6.0f} ms   max {max(times) * 1000:6.0f} ms"
        )
    print(f"ratio of medians {ratio:.2f} (aim: at most {AIM})")
    return 0 if ratio <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
