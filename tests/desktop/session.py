# SPDX-License-Identifier: MIT
"""A real X desktop of its own: window manager, tray, notification daemon and session bus."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from PySide6.QtGui import QImage

T = TypeVar("T")
HERE = Path(__file__).parent
WATCHER = "org.kde.StatusNotifierWatcher"
NEEDS = ("Xvfb", "dbus-daemon", "openbox", "xfce4-panel", "dunst", "xdotool", "gdbus")


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float = 15.0) -> T:
    """Return what `look` finds, as soon as it is true; fail with `what` was waited for."""
    end = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.05)


class DesktopSession:
    """Starts the desktop's programs and ends each of them, by their ids."""

    def __init__(self, folder: Path, *, tray: bool = True) -> None:
        missing = [name for name in NEEDS if shutil.which(name) is None]
        assert not missing, f"the desktop tests need {', '.join(missing)}: run ./packaging/test"
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        panels = folder / "config/xfce4/xfconf/xfce-perchannel-xml"
        panels.mkdir(parents=True)
        shutil.copy(HERE / "xfce4-panel.xml", panels)
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in {"QT_QPA_PLATFORM", "WAYLAND_DISPLAY", "LD_LIBRARY_PATH"}
        } | {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(runtime),
            "RIGPANEL_HOME": str(folder / "home"),
        }
        try:
            self._start_all(tray=tray)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            error.add_note(self.seen())
        self.close()
        if kind is None:
            assert self.failures() == ""

    def _start_all(self, *, tray: bool) -> None:
        self._start_display()
        self._start_bus()
        self.start(["openbox"])
        wait_for(
            "the window manager",
            lambda: self.run("xdotool", "get_num_desktops").strip() not in {"", "0"},
        )
        self.start(["dunst"])
        if tray:
            self.start_tray()

    def seen(self) -> str:
        """Return what there is on the screen and what was logged, for whoever reads a failure."""
        found = self.run("xdotool", "search", "--onlyvisible", "--name", "").split()
        shown = {
            window: self.run("xdotool", "getwindowname", window).strip()
            + " "
            + " ".join(self.run("xdotool", "getwindowgeometry", window).split()[2:])
            for window in found
        }
        lines = [f"{window}: {what}" for window, what in shown.items()]
        lines.append("focus: " + self.run("xdotool", "getwindowfocus").strip())
        lines.append("tray: " + self.tray_items().strip())
        for process in self._started:
            ended = process.poll()
            lines.append(f"{process.args!r}: {'runs' if ended is None else f'ended ({ended})'}")
        for log in sorted(self.folder.glob("*.log")):
            lines += [f"{log.name}: {line}" for line in log.read_text(errors="replace").split("\n")]
        return "\n".join(lines)

    def failures(self) -> str:
        """Return the logs of panels in which something went wrong that nobody expected."""
        logs = [log.read_text(errors="replace") for log in self.folder.glob("python*.log")]
        return "\n".join(log for log in logs if "Traceback" in log or "unexpected" in log)

    def close(self) -> None:
        """End everything that was started, the last first."""
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def start(
        self, command: list[str], env: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a program in the session; what it prints goes to a log beside it."""
        log = self.folder / f"{Path(command[0]).name}-{len(self._started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def run(self, *command: str) -> str:
        """Run a program in the session and return what it prints."""
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=20, check=False
        )
        return done.stdout

    def start_tray(self) -> "subprocess.Popen[bytes]":
        """Start a panel with a tray and wait until it hosts icons."""
        panel = self.start(["xfce4-panel", "--disable-wm-check"])
        wait_for("the tray", lambda: "true" in self._watcher("IsStatusNotifierHostRegistered"))
        return panel

    def tray_items(self) -> str:
        """Return the items the tray shows, as the watcher lists them."""
        return self._watcher("RegisteredStatusNotifierItems")

    def tray_tooltip(self) -> str:
        """Return what the tray shows when the pointer rests on the icon; nothing without one."""
        get = ("org.freedesktop.DBus.Properties.Get", "org.kde.StatusNotifierItem", "ToolTip")
        return self._tray_icon("/StatusNotifierItem", *get)

    def click_tray(self) -> None:
        """Click the icon, as the tray tells it."""
        self._tray_icon("/StatusNotifierItem", "org.kde.StatusNotifierItem.Activate", "0", "0")

    def choose_in_tray(self, entry: str) -> None:
        """Choose an entry of the icon's menu, as the tray tells it."""
        menu = "com.canonical.dbusmenu"
        layout = self._tray_icon("/MenuBar", f"{menu}.GetLayout", "0", "--", "-1", "[]")
        found = re.search(rf"\((\d+), {{[^}}]*'label': <'_?{entry}'>", layout)
        assert found, f"no entry {entry!r} in {layout}"
        self._tray_icon("/MenuBar", f"{menu}.Event", found[1], "clicked", "<''>", "0")

    def displayed(self) -> int:
        """Return how many notifications stand on the screen."""
        return int(self.run("dunstctl", "count", "displayed"))

    def notifications(self) -> list[dict[str, str]]:
        """Close what is shown and return all notifications there were, newest first."""
        self.run("dunstctl", "close-all")
        listed: Any = json.loads(self.run("dunstctl", "history") or '{"data": [[]]}')
        return [
            {name: str(entry[name]["data"]) for name in ("summary", "body")}
            for entry in listed["data"][0]
        ]

    def key(self, *keys: str) -> None:
        """Press keys."""
        self.run("xdotool", "key", "--clearmodifiers", *keys)

    def type(self, text: str) -> None:
        """Type text."""
        self.run("xdotool", "type", "--delay", "15", text)

    def windows(self) -> list[str]:
        """Return the ids of visible rigpanel windows."""
        found = self.run("xdotool", "search", "--onlyvisible", "--name", "^rigpanel$")
        return found.split()

    def activate(self) -> None:
        """Give the panel's window the keyboard."""
        window = wait_for("the panel's window", self.windows)[-1]
        self.run("xdotool", "windowactivate", "--sync", window)

    def click_in_window(self, right_px: int, top_px: int) -> None:
        """Click so far from the right and the upper edge of the panel's window, if there is one."""
        for window in self.windows()[-1:]:
            shape = self.run("xdotool", "getwindowgeometry", "--shell", window)
            width = re.search(r"WIDTH=(\d+)", shape)
            if width is not None:
                at = (str(int(width[1]) - right_px), str(top_px))
                self.run("xdotool", "mousemove", "--window", window, *at, "click", "1")

    def picture(self) -> QImage:
        """Return the whole screen as it is seen."""
        path = self.folder / "screen.png"
        code = (
            "from PySide6.QtGui import QGuiApplication as A\n"
            "import sys\na = A([])\na.primaryScreen().grabWindow(0).save(sys.argv[1])"
        )
        self.run(sys.executable, "-c", code, str(path))
        return QImage(str(path))

    def close_window(self) -> None:
        """Close the panel's window with the keyboard, if one is to be seen."""
        for window in self.windows()[-1:]:
            # Not --sync: it waits 15 s for a window that goes away meanwhile.
            self.run("xdotool", "windowactivate", window)
            self.key("alt+F4")

    def clipboard(self) -> str:
        """Return the text on the clipboard."""
        code = (
            "from PySide6.QtGui import QGuiApplication as A\n"
            "import sys\na = A([])\nsys.stdout.write(a.clipboard().text())"
        )
        return self.run(sys.executable, "-c", code)

    def _watcher(self, name: str) -> str:
        return self.run(
            "gdbus", "call", "--session", "--dest", WATCHER, "--object-path",
            "/StatusNotifierWatcher", "--method", "org.freedesktop.DBus.Properties.Get",
            WATCHER, name,
        )  # fmt: skip

    def _tray_icon(self, path: str, method: str, *arguments: str) -> str:
        owner = re.search(r"'(:[\d.]+)", self.tray_items())
        if owner is None:
            return ""
        command = ["gdbus", "call", "--session", "--dest", owner[1], "--object-path", path]
        return self.run(*command, "--method", method, *arguments)

    def _start_display(self) -> None:
        reading, writing = os.pipe()
        server = subprocess.Popen(
            # Without -noreset it begins anew when its only client leaves, deaf to who comes then.
            [
                *("Xvfb", "-displayfd", str(writing), "-screen", "0", "1440x900x24"),
                *("-nolisten", "tcp", "-noreset"),
            ],
            pass_fds=[writing],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(server)
        os.close(writing)
        with os.fdopen(reading) as numbers:
            self.env["DISPLAY"] = ":" + numbers.readline().strip()

    def _start_bus(self) -> None:
        bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._started.append(bus)
        assert bus.stdout is not None
        self.env["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().decode().strip()
        bus.stdout.close()


def children_of(pid: int) -> set[int]:
    """Return the ids of all processes below `pid`."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parent = {int(a): int(b) for a, b in re.findall(r"(\d+)\s+(\d+)", listed)}
    found = {pid}
    while more := {child for child, above in parent.items() if above in found} - found:
        found |= more
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    """Return those of `pids` that still run."""
    return {pid for pid in pids if Path(f"/proc/{pid}/exe").exists() and not _zombie(pid)}


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
