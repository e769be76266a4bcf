# SPDX-License-Identifier: MIT
"""The load pane: choose a model and how it is laid over the cards, load it, see what it took."""

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QWidget,
)

from rigpanel import paths
from rigpanel.engine.messages import EngineState, EngineStatus, LoadedModel
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.settings import LAST_MODEL, SettingsError, SettingsStore
from rigpanel.ui import words
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.load_form import LoadForm
from rigpanel.ui.panes.loaded_card import LoadedCard
from rigpanel.ui.widgets import button, centred, column, label, named, scroll_area
from rigpanel.watch.tick import Tick

CHOOSE = "Choose a GGUF file, or drop one here."
FORM_PX = 560
"""A form wider than this is harder to read, not easier."""


class LoadPane(QWidget):
    """The file on top, the form below, the button always in view; errors stay until read."""

    header_read = Signal(object)
    """A path with its GgufHeader, or with the sentence that says why there is none."""
    demo_made = Signal(object)
    """Path of the demo model, or the sentence that says why there is none."""
    fold_requested = Signal()

    def __init__(
        self,
        settings: SettingsStore,
        watch: WatchBridge,
        engine: EngineBridge,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._engine = engine
        self._header: GgufHeader | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="header-reader")
        self.setAcceptDrops(True)
        self._build()
        self.header_read.connect(self._take_header)
        self.demo_made.connect(self._take_demo)
        engine.status_changed.connect(self._take_status)
        engine.load_progressed.connect(self._take_progress)
        engine.model_loaded.connect(self._take_model)
        engine.load_failed.connect(self._take_failure)
        engine.load_cancelled.connect(self._take_cancelled)
        watch.tick_ready.connect(self._take_tick)
        stop_reading = functools.partial(self._reader.shutdown, wait=False, cancel_futures=True)
        self.destroyed.connect(stop_reading)
        last = settings.get(LAST_MODEL)
        if last and Path(last).exists():
            self.set_model_path(last)
        self._enable()

    def set_model_path(self, path: str) -> None:
        """Choose a file; its header is read at once."""
        self.path.setText(path)
        self._read_header()

    def load_settings(self) -> LoadSettings:
        """Return the settings as they stand in the pane."""
        return self.form.settings(self._chosen)

    @Slot()
    def choose_file(self) -> None:
        """Open the file chooser."""
        start = str(Path(self.path.text()).parent) if self.path.text() else str(Path.home())
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", start, "GGUF models (*.gguf);;All files (*)"
        )
        if path:
            self.set_model_path(path)
            self.path.setFocus()

    @Slot()
    def load(self) -> None:
        """Load what is chosen."""
        if self.load_button.isEnabled():
            self._show_error("")
            self.load_button.setEnabled(False)  # until the engine has said what it does
            self._engine.load(self.load_settings())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files of this machine."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the first file that was dropped."""
        files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.set_model_path(files[0])

    @property
    def _chosen(self) -> Path:
        return Path(self.path.text().strip()).expanduser()

    def _build(self) -> None:
        inside = QWidget()
        inside.setMaximumWidth(FORM_PX)
        rows = column(margins=(16, 4, 16, 16), spacing=8)
        inside.setLayout(rows)
        rows.addLayout(self._file_row())
        self._name = label("", "strong")
        self.facts = label(CHOOSE, "muted")
        rows.addWidget(self._name)
        rows.addWidget(self.facts)
        self.demo_button = button(
            "Make a small demo model",
            "link",
            "Random weights: it runs for real, its words are noise",
        )
        self.demo_button.clicked.connect(self._make_demo)
        rows.addWidget(self.demo_button, 0, Qt.AlignmentFlag.AlignLeft)
        rows.addWidget(self._problem_frame())
        self.loaded = LoadedCard()
        rows.addWidget(self.loaded)
        rows.addSpacing(4)
        self.form = LoadForm()
        rows.addWidget(self.form)
        rows.addStretch(1)
        whole = column(spacing=4)
        self.setLayout(whole)
        whole.addWidget(centred(self._head(), FORM_PX))
        whole.addWidget(scroll_area(inside), 1)
        whole.addWidget(centred(self._foot(), FORM_PX))
        keys = QShortcut(QKeySequence("Ctrl+Return"), self)
        keys.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        keys.activated.connect(self.load)
        self.setMinimumWidth(288)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 8, 0)
        head.addWidget(named(QLabel("Model"), "title"))
        head.addStretch(1)
        self.fold = button("«", "fold", "Fold the loader away (Ctrl+B)")
        self.fold.setAccessibleName("Fold the loader away")
        self.fold.setFixedSize(28, 28)
        self.fold.clicked.connect(self.fold_requested)
        head.addWidget(self.fold)
        return head

    def _file_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.path = QLineEdit(placeholderText="Path of a .gguf file")
        self.path.setAccessibleName("Model file")
        self.path.setToolTip("Enter reads the file's header, Ctrl+Enter loads it")
        self.path.returnPressed.connect(self._read_header)
        browse = button("Open…", "", "Choose a file (Ctrl+O)")
        browse.clicked.connect(self.choose_file)
        row.addWidget(self.path, 1)
        row.addWidget(browse)
        return row

    def _problem_frame(self) -> QFrame:
        self._problem = named(QFrame(), "problem")
        inside = column(margins=(12, 8, 12, 8))
        self._problem.setLayout(inside)
        self.error = label("", "error")
        inside.addWidget(self.error)
        self._problem.hide()
        return self._problem

    def _foot(self) -> QWidget:
        foot = QWidget()
        rows = column(margins=(16, 8, 16, 16), spacing=8)
        foot.setLayout(rows)
        self.progress = QProgressBar(minimum=0, maximum=1000)
        self.progress.setFormat("Loading  %p %")
        self.progress.hide()
        rows.addWidget(self.progress)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.load_button = button("Load", "primary", "Load the model (Ctrl+Enter)")
        self.load_button.clicked.connect(self.load)
        self.cancel_button = button("Cancel", "", "Stop loading; nothing stays in memory")
        self.cancel_button.clicked.connect(self._engine.cancel)
        self.unload_button = button("Unload", "", "Give all of the model's memory back")
        self.unload_button.clicked.connect(self._engine.unload)
        row.addWidget(self.load_button, 1)
        row.addWidget(self.cancel_button, 1)
        row.addWidget(self.unload_button)
        rows.addLayout(row)
        return foot

    @Slot()
    def _read_header(self) -> None:
        self._header = None
        self._name.setText("")
        self._show_error("")
        if not self.path.text().strip():
            self.facts.setText(CHOOSE)
            self._enable()
            return
        self.facts.setText("Reading the header …")
        self._enable()
        self._reader.submit(_header_or_sentence, self._chosen).add_done_callback(self._header_done)

    def _header_done(self, future: "Future[tuple[Path, GgufHeader | str]]") -> None:
        if not future.cancelled():
            self.header_read.emit(future.result())

    @Slot(object)
    def _take_header(self, answer: "tuple[Path, GgufHeader | str]") -> None:
        path, header = answer
        if path != self._chosen:
            return  # Another file was chosen meanwhile.
        if isinstance(header, str):
            self.facts.setText(CHOOSE)
            self._show_error(header)
            self.form.set_header(None)
            self._enable()
            return
        self._header = header
        self._show_error("")
        self.form.set_header(header)
        self._name.setText(header.name)
        template = "" if header.chat_template else "\nIt brings no chat template; one stands in."
        self.facts.setText(
            f"{header.file_type} · {words.file_size(header.size_mib)} · "
            f"{words.parameters(header.n_params)} parameters\n{header.arch} · "
            f"{header.n_layer} layers · trained on {header.n_ctx_train} tokens{template}"
        )
        self._enable()
        try:
            self._settings.set(LAST_MODEL, str(path))
        except SettingsError as error:
            self._show_error(str(error))

    @Slot()
    def _make_demo(self) -> None:
        self.demo_button.setEnabled(False)
        path = paths.data_dir() / "models" / "rigpanel-demo-random-weights.gguf"
        self._reader.submit(_demo_or_sentence, path).add_done_callback(self._demo_done)

    def _demo_done(self, future: "Future[Path | str]") -> None:
        if not future.cancelled():
            self.demo_made.emit(future.result())

    @Slot(object)
    def _take_demo(self, made: Path | str) -> None:
        self.demo_button.setEnabled(True)
        if isinstance(made, str):
            self._show_error(made)
        else:
            self.set_model_path(str(made))

    @Slot(object)
    def _take_tick(self, tick: Tick) -> None:
        self.form.set_cards(tick.snapshot.cards)

    @Slot(float)
    def _take_progress(self, fraction: float) -> None:
        self.progress.setValue(round(fraction * 1000))

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        if status.state is EngineState.LOADING and self.progress.isHidden():
            self.progress.setValue(0)
            self._show_error("")
        self.progress.setVisible(status.state is EngineState.LOADING)
        if status.model is None:
            self.loaded.hide()
        if status.problem is not None:
            self._show_error(status.problem)
        self._enable()

    @Slot(object)
    def _take_model(self, model: LoadedModel) -> None:
        self.loaded.show_model(model)

    @Slot(str)
    def _take_failure(self, sentence: str) -> None:
        self._show_error(sentence)
        self._enable()

    @Slot()
    def _take_cancelled(self) -> None:
        self._show_error("The load was cancelled; nothing is in memory.")
        self._enable()

    def _show_error(self, sentence: str) -> None:
        self.error.setText(sentence)
        self._problem.setVisible(bool(sentence))

    def _enable(self) -> None:
        state = self._engine.status.state
        loading = state is EngineState.LOADING
        loaded = state in {EngineState.READY, EngineState.GENERATING}
        self.load_button.setEnabled(
            self._header is not None and state is not EngineState.GENERATING
        )
        self.load_button.setVisible(not loading)
        self.load_button.setText("Load again" if loaded else "Load")
        self.cancel_button.setVisible(loading)
        self.unload_button.setVisible(loaded)
        self.unload_button.setEnabled(state is EngineState.READY)
        self._name.setVisible(self._header is not None)
        self.demo_button.setVisible(self._header is None)


def _header_or_sentence(path: Path) -> tuple[Path, GgufHeader | str]:
    try:
        return path, read_header(path)
    except RigpanelError as error:
        return path, str(error)


def _demo_or_sentence(path: Path) -> Path | str:
    try:
        return path if path.exists() else write_demo_model(path)
    except RigpanelError as error:
        return str(error)
