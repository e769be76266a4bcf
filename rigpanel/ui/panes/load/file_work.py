# SPDX-License-Identifier: MIT
"""What the load pane has done with files, on a thread of its own."""

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal, SignalInstance

from rigpanel.engine.devices import Device
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.ui.panes.load.refusal import Refusal, refusal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeaderAnswer:
    """The header of a file, or the sentence that says why there is none."""

    path: Path
    header: GgufHeader | str


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """Whether settings would be refused."""

    settings: LoadSettings
    refusal: Refusal | None


class FileWork(QObject):
    """Reads headers, looks settings over and writes the demo model, one after the other."""

    header_read = Signal(object)
    """A HeaderAnswer."""
    drop_read = Signal(object)
    """A HeaderAnswer of a file that was dropped."""
    demo_made = Signal(object)
    """Path of the demo model, or the sentence that says why there is none."""
    checked = Signal(object)
    """A CheckAnswer."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="header-reader")
        self.destroyed.connect(
            functools.partial(self._pool.shutdown, wait=False, cancel_futures=True)
        )

    def read(self, path: Path) -> None:
        """Read the header of the chosen file."""
        self._do(self.header_read, functools.partial(_header, path))

    def read_dropped(self, path: Path) -> None:
        """Read the header of a file of which it is not yet known what it is for."""
        self._do(self.drop_read, functools.partial(_header, path))

    def make_demo(self, path: Path) -> None:
        """Write the demo model unless it is there."""
        self._do(self.demo_made, functools.partial(_demo, path))

    def check(self, settings: LoadSettings, header: GgufHeader, listed: tuple[Device, ...]) -> None:
        """Find out whether settings would be refused on the devices llama.cpp has listed."""
        self._do(self.checked, functools.partial(_check, settings, header, listed))

    def _do(self, signal: SignalInstance, work: Callable[[], T]) -> None:
        def done(future: "Future[T]") -> None:
            if not future.cancelled():
                signal.emit(future.result())

        self._pool.submit(work).add_done_callback(done)


def _header(path: Path) -> HeaderAnswer:
    try:
        return HeaderAnswer(path, read_header(path))
    except RigpanelError as error:
        return HeaderAnswer(path, str(error))


def _demo(path: Path) -> Path | str:
    try:
        return path if path.exists() else write_demo_model(path)
    except RigpanelError as error:
        return str(error)


def _check(settings: LoadSettings, header: GgufHeader, listed: tuple[Device, ...]) -> CheckAnswer:
    return CheckAnswer(settings, refusal(settings, header, listed))
