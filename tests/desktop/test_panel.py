# SPDX-License-Identifier: MIT
"""The panel as its owner meets it: window, tray, notifications, one instance, quit."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QColor

from rigpanel.library.demo_model import write_demo_model
from rigpanel.ui.style import mix
from rigpanel.ui.theme import DARK, LIGHT
from tests.desktop.driving import PANEL, SLOW_ENOUGH, ask, load, more, start
from tests.desktop.session import DesktopSession, alive, children_of, wait_for
from tests.fakes.nvml import FakeRig

LOOK_AROUND_PX = (130, 66)
"""Where the button of the driver's banner is, from the window's right and upper edge."""

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(180)]


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[DesktopSession]:
    with DesktopSession(tmp_path / "desktop") as session:
        yield session


def test_from_the_icon_to_the_cards(
    desktop: DesktopSession, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    model = write_demo_model(tmp_path / "model.gguf", SLOW_ENOUGH)
    panel = start(desktop, rig=fake_nvml)
    wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())

    load(desktop, panel, model)
    more(desktop, ask(desktop, "How warm are the cards?"))
    desktop.key("Escape")

    fake_nvml.card(1).temperature_c = 86
    wait_for(
        "a notification that names card 1",
        lambda: any("GPU 1" in n["summary"] and "too hot" in n["summary"] for n in shown(desktop)),
        5.0,
    )
    assert not any("GPU 0" in n["summary"] for n in shown(desktop))
    fake_nvml.card(1).temperature_c = 80
    wait_for(
        "the alert to clear", lambda: any("cooled down" in n["summary"] for n in shown(desktop))
    )

    below = children_of(panel.pid)
    assert below, "the engine is a process of its own"
    desktop.activate()
    desktop.key("ctrl+q")
    wait_for("the panel to end", lambda: panel.poll() is not None)
    assert panel.returncode == 0
    wait_for("every process to end", lambda: not alive(below))
    assert "StatusNotifierItem" not in desktop.tray_items()


def shown(desktop: DesktopSession) -> list[dict[str, str]]:
    return desktop.notifications()


def close(desktop: DesktopSession, over: Callable[[], bool], patience_s: float = 30.0) -> None:
    """Close the window as a person does, and once more if that went unheard."""

    def closed() -> bool:
        if not over():
            desktop.close_window()
        return over()

    wait_for("the window to close", closed, patience_s)


def quit_by_signal(panel: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    os.kill(panel.pid, number)
    assert panel.wait(15) == 0


def log_of(desktop: DesktopSession) -> str:
    return "".join(log.read_text() for log in desktop.folder.glob("python*.log"))


def test_a_second_start_raises_the_first_window(desktop: DesktopSession) -> None:
    first = start(desktop, "--demo")
    wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())
    close(desktop, lambda: not desktop.windows())
    second = desktop.start([*PANEL, "--demo"])
    assert second.wait(20) == 0
    wait_for("the first window to come back", desktop.windows)
    assert first.poll() is None
    quit_by_signal(first, signal.SIGTERM)
    assert list((desktop.folder / "runtime").glob("rigpanel*")) == []


def test_of_starts_at_the_same_time_one_opens_a_window(desktop: DesktopSession) -> None:
    starts = [desktop.start([*PANEL, "--demo"]) for _ in range(3)]
    wait_for(
        "two starts to leave it to the third", lambda: [p.poll() for p in starts].count(0) == 2
    )
    assert len(wait_for("a window", desktop.windows)) == 1
    (first,) = [p for p in starts if p.poll() is None]
    quit_by_signal(first, signal.SIGINT)


def test_without_a_driver_the_simulated_rig_is_a_click_away(
    desktop: DesktopSession, tmp_path: Path
) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")  # Found before a driver's own, and none.
    panel = desktop.start(PANEL, {"LD_LIBRARY_PATH": str(tmp_path)})
    desktop.activate()
    wait_for("the tray icon", desktop.tray_tooltip)
    assert "Simulated rig" not in desktop.tray_tooltip()
    assert not banner_of_simulated_rig(desktop)

    def begun_anew() -> bool:
        if "--demo" in Path(f"/proc/{panel.pid}/cmdline").read_text():
            return True
        desktop.click_in_window(*LOOK_AROUND_PX)
        return False

    wait_for("the panel to begin anew", begun_anew, 30)
    wait_for("the second window", desktop.windows)
    wait_for("its mark", lambda: banner_of_simulated_rig(desktop))
    wait_for("its cards", lambda: "GPU 1" in desktop.tray_tooltip())
    assert desktop.tray_tooltip().count("Simulated rig") == 1
    quit_by_signal(panel, signal.SIGTERM)
    assert list((desktop.folder / "runtime").glob("rigpanel*")) == []


def banner_of_simulated_rig(desktop: DesktopSession) -> bool:
    """Whether a wide bar in the colour of the banner `Simulated rig` is seen."""
    seen = desktop.picture()
    colours = {QColor(mix(theme.warm, theme.surface, 0.10)).rgb() for theme in (LIGHT, DARK)}
    rows = range(0, seen.height(), 4)
    across = range(0, seen.width(), 4)
    return any(sum(seen.pixel(x, y) in colours for x in across) > len(across) / 2 for y in rows)


def test_the_tray_tells_shows_and_quits(desktop: DesktopSession) -> None:
    panel = start(desktop, "--demo")
    wait_for("the summary", lambda: "GPU 1" in desktop.tray_tooltip())
    told = desktop.tray_tooltip()
    assert "Simulated rig" in told
    assert "°C" in told
    assert "No model is loaded" in told
    close(desktop, lambda: not desktop.windows())
    desktop.click_tray()
    wait_for("the window after a click", desktop.windows)
    close(desktop, lambda: not desktop.windows())
    desktop.choose_in_tray("Show rigpanel")
    wait_for("the window after Show", desktop.windows)
    desktop.choose_in_tray("Quit")
    assert panel.wait(15) == 0
    assert "StatusNotifierItem" not in desktop.tray_items()
    assert log_of(desktop) == ""


def test_minimized_it_starts_in_the_tray(desktop: DesktopSession) -> None:
    panel = desktop.start([*PANEL, "--demo", "--minimized"])
    wait_for("the summary", lambda: "GPU 1" in desktop.tray_tooltip())
    assert desktop.windows() == []
    desktop.click_tray()
    wait_for("the window", desktop.windows)
    quit_by_signal(panel, signal.SIGHUP)


def test_without_a_tray_closing_the_window_quits(tmp_path: Path) -> None:
    with DesktopSession(tmp_path / "desktop", tray=False) as desktop:
        panel = start(desktop, "--demo")
        close(desktop, lambda: panel.poll() is not None)
        assert panel.returncode == 0


def test_the_icon_follows_the_tray(tmp_path: Path) -> None:
    with DesktopSession(tmp_path / "desktop", tray=False) as desktop:
        panel = start(desktop, "--demo")
        tray = desktop.start_tray()
        wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())
        close(desktop, lambda: not desktop.windows())
        tray.kill()
        wait_for("the window, which nothing else could bring back", desktop.windows)
        desktop.start_tray()
        wait_for("the tray icon", lambda: "StatusNotifierItem" in desktop.tray_items())
        quit_by_signal(panel, signal.SIGTERM)


def test_a_tray_that_hangs_does_not_hold_the_panel_up(tmp_path: Path) -> None:
    with DesktopSession(tmp_path / "desktop", tray=False) as desktop:
        tray = desktop.start_tray()
        hung = {tray.pid, *children_of(tray.pid)}
        for process in hung:
            os.kill(process, signal.SIGSTOP)
        try:
            panel = start(desktop, "--demo")
            close(desktop, lambda: panel.poll() is not None, 15.0)
            assert panel.returncode == 0
        finally:
            for process in hung:
                os.kill(process, signal.SIGCONT)


def test_an_alert_that_nobody_watches_any_more_is_taken_back(
    desktop: DesktopSession, fake_nvml: FakeRig
) -> None:
    fake_nvml.card(0).temperature_c = 95
    panel = start(desktop, rig=fake_nvml)
    wait_for("the notification", lambda: desktop.displayed() == 1)
    quit_by_signal(panel, signal.SIGTERM)
    wait_for("it to go", lambda: desktop.displayed() == 0)


def test_a_lost_card_is_notified_and_its_return(
    desktop: DesktopSession, fake_nvml: FakeRig
) -> None:
    panel = start(desktop, rig=fake_nvml)
    wait_for("the tray icon", lambda: "GPU 1" in desktop.tray_tooltip())
    fake_nvml.lose(1)

    def told(word: str) -> bool:
        return any("GPU 1" in n["summary"] and word in n["summary"] for n in shown(desktop))

    wait_for("the loss", lambda: told("is lost"))
    fake_nvml.bring_back(1)
    wait_for("the return", lambda: told("is back"), 30)
    quit_by_signal(panel, signal.SIGTERM)


def test_a_socket_left_by_a_crash_does_not_stop_the_next_start(desktop: DesktopSession) -> None:
    first = start(desktop, "--demo")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start(desktop, "--demo")
    quit_by_signal(second, signal.SIGTERM)
