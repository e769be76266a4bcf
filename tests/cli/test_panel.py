# SPDX-License-Identifier: MIT
"""`rigpanel` where no window can be opened, and `rigpanel screenshot`: one line that helps."""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from rigpanel import paths
from rigpanel.chat.store import ConversationStore
from rigpanel.storage import FILE_NAME, Storage
from tests.fakes.nvml import FakeRig

pytest.importorskip("PySide6", reason="the window is the optional part", exc_type=ImportError)

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def rigpanel(*words: str, rig: FakeRig | None = None) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ) if rig is None else rig.env()
    return subprocess.run(
        [sys.executable, "-m", "rigpanel", *words],
        env={name: value for name, value in env.items() if name not in DISPLAYS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others always have a display")
def test_without_a_display_it_says_what_to_do() -> None:
    done = rigpanel("--demo")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "no display" in line
    assert "rigpanel chat" in line


def test_a_panel_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rigpanel.cli import panel
    from rigpanel.errors import RigpanelError

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(panel, "ANSWER_S", 0.1)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(paths.instance_socket()))
        hung.listen()
        with pytest.raises(RigpanelError, match="has not answered"):
            panel.raise_running(None)


def test_the_second_start_is_told_apart_before_anything_heavy() -> None:
    script = (
        "import sys, argparse; from rigpanel.cli import panel; panel.raise_running(None); "
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'PySide6', 'numpy', 'asyncio'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_picture_of_the_simulated_rig_says_so(tmp_path: Path) -> None:
    out = tmp_path / "demo.png"
    done = rigpanel("screenshot", str(out), "--demo", "--size", "1280x800", "--theme", "light")
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    assert "simulated" in done.stderr
    assert png_size(out) == (1280, 800)


def test_a_picture_of_the_rig_there_is(tmp_path: Path, fake_nvml: FakeRig) -> None:
    out = tmp_path / "rig.png"
    done = rigpanel("screenshot", str(out), "--pane", "monitor", rig=fake_nvml)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{out}\n", "")
    assert png_size(out) == (1440, 900)
    assert fake_nvml.calls("nvmlDeviceGetTemperatureV") >= 4


def test_a_picture_of_the_chat_shows_the_last_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtGui import QImage

    from rigpanel.ui.panes.chat.kept import KeptChat, write_kept
    from rigpanel.ui.panes.chat.pane import KEPT_FILE

    def brightness(name: str) -> int:
        """Return how many of the pixels where messages stand are as bright as text."""
        out = tmp_path / name
        assert rigpanel("screenshot", str(out), "--demo", "--pane", "chat").returncode == 0
        image = QImage(str(out))
        return sum(
            image.pixelColor(x, y).lightness() > 150
            for x in range(400, 1200, 2)
            for y in range(250, 400, 2)
        )

    monkeypatch.setenv("RIGPANEL_HOME", str(tmp_path / "home"))
    nothing = brightness("nothing.png")
    storage = Storage(paths.data_dir() / FILE_NAME)
    store = ConversationStore(storage)
    conversation = store.create("Long").result(10).info.id
    store.add(conversation, None, "user", "A line of many words, as they are said\n" * 40).result(
        10
    )
    assert storage.close(10.0)
    write_kept(paths.data_dir() / KEPT_FILE, KeptChat(conversation=conversation))
    assert brightness("conversation.png") > nothing + 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x.png", "--pane", "kitchen"], "there are: rig, load, chat"),
        (["x.png", "--size", "big"], "1280x800"),
        (["x.png", "--size", "10x10"], "720x480"),
        (["x.jpg"], ".png"),
    ],
)
def test_bad_usage_is_told(tmp_path: Path, words: list[str], told: str) -> None:
    done = rigpanel("screenshot", str(tmp_path / words[0]), *words[1:])
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for out in (tmp_path / "nowhere" / "x.png", tmp_path / "folder.png"):
        done = rigpanel("screenshot", str(out), "--demo")
        assert done.returncode == 1
        assert str(out.parent) in done.stderr
        assert "Traceback" not in done.stderr
