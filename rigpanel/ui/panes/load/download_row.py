# SPDX-License-Identifier: MIT
"""One download: how far it is and how fast, with Pause, Resume and Cancel."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar

from rigpanel.library.download import RemoteModel
from rigpanel.ui import words
from rigpanel.ui.panes.load.download_work import Ended, Progress
from rigpanel.ui.widgets import CLOSE, ElidedLabel, button, column, label, named

MIB = 1024 * 1024
STEPS = 1000
SMOOTH = 0.3
"""How much the newest rate counts."""


class DownloadRow(QFrame):
    """Name and buttons on top, then the bar, then figures or what went wrong."""

    wanted = Signal(object)
    """Go on with the RemoteModel."""
    stop_requested = Signal(object)
    forget_requested = Signal(object)
    use_requested = Signal(str)
    """Path of what was fetched."""

    def __init__(self, model: RemoteModel) -> None:
        super().__init__()
        named(self, "inset")
        self.model = model
        self._path = ""
        self._cancelled = False
        self._running = True
        self._last: Progress | None = None
        self._rate_mib_s = 0.0
        rows = column(margins=(10, 8, 8, 8), spacing=4)
        self.setLayout(rows)
        line = QHBoxLayout()
        line.setSpacing(6)
        name = ElidedLabel()
        name.elide = Qt.TextElideMode.ElideMiddle  # the quantization is at the end
        name.setText(model.name)
        name.setToolTip(f"{model.repo}: {model.name}")
        line.addWidget(name, 1)
        self.switch = button("Pause", "quiet", "Stop for now; what has come stays")
        self.switch.clicked.connect(self._switch)
        line.addWidget(self.switch)
        self.cancel = button(CLOSE, "fold", "Cancel, and take away what has come")
        self.cancel.setAccessibleName(f"Cancel {model.name}")
        self.cancel.setFixedSize(24, 24)
        self.cancel.clicked.connect(self._cancel)
        line.addWidget(self.cancel)
        rows.addLayout(line)
        self.bar = QProgressBar(minimum=0, maximum=STEPS)
        self.bar.setAccessibleName(f"Download of {model.name}")
        rows.addWidget(self.bar)
        self.says = label("Beginning …", "muted")
        rows.addWidget(self.says)

    @property
    def running(self) -> bool:
        """Whether it is being fetched now."""
        return self._running

    def take_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        last, self._last = self._last, progress
        if last is not None and progress.at_s > last.at_s:
            rate = max(progress.done - last.done, 0) / MIB / (progress.at_s - last.at_s)
            before = self._rate_mib_s or rate
            self._rate_mib_s = before + SMOOTH * (rate - before)
        self.bar.setValue(round(STEPS * progress.done / max(progress.whole, 1)))
        if progress.done >= progress.whole:
            self.says.setText("Checking …")
            return
        speed = f" · {self._rate_mib_s:.1f} MiB/s" if self._rate_mib_s else ""
        done, whole = (words.file_size(part / MIB) for part in (progress.done, progress.whole))
        self.says.setText(f"{done} of {whole}{speed}")

    def take_end(self, ended: Ended) -> None:
        """Show that it is over, or stopped."""
        self._running = False
        self._last, self._rate_mib_s = None, 0.0
        self._path = ended.path
        if self._cancelled:
            self.forget_requested.emit(self.model)
        elif ended.path:
            self.bar.setValue(STEPS)
            self.says.setText("Fetched and checked.")
            self.switch.setText("Use it")
            self.switch.setToolTip("Choose this model in the loader")
            self.cancel.setToolTip("Take it off this list; the model stays")
        else:
            self.says.setText(ended.problem or "Paused; what has come stays.")
            self.switch.setText("Resume")
            self.switch.setToolTip("Go on from where it is")

    @Slot()
    def _switch(self) -> None:
        if self._path:
            self.use_requested.emit(self._path)
        elif self._running:
            self.says.setText("Stopping …")
            self.stop_requested.emit(self.model)
        else:
            self._running = True
            self.switch.setText("Pause")
            self.says.setText("Going on …")
            self.wanted.emit(self.model)

    @Slot()
    def _cancel(self) -> None:
        self._cancelled = True
        self.says.setText("Cancelling …")
        if self._running:
            self.stop_requested.emit(self.model)
        else:
            self.forget_requested.emit(self.model)

    @property
    def fetched(self) -> bool:
        """Whether it is whole."""
        return bool(self._path)
