# SPDX-License-Identifier: MIT
"""The load pane: choose a model and how it is laid over the cards, load it, see what it took."""

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from rigpanel import paths
from rigpanel.engine.messages import EngineState, EngineStatus, LoadedModel
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.rig.readings import GpuSample
from rigpanel.settings import LAST_MODEL, SettingsError, SettingsStore
from rigpanel.ui import words
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.widgets import form_layout, label, named, scroll_area
from rigpanel.watch.tick import Tick

DEFAULT_CTX = 4096
SHARES_A_ROW = 4
KV_TYPES = ("f16", "q8_0", "q5_1", "q4_0", "bf16", "f32")
SPLIT_SENTENCES = {
    SplitMode.LAYER: "Whole layers on each card, one after the other. The safe choice.",
    SplitMode.NONE: "The whole model on one card.",
    SplitMode.ROW: "Each matrix cut across the cards. Upstream calls this mode deprecated.",
    SplitMode.TENSOR: "Cards work on each layer together. Upstream calls this experimental.",
}


class LoadPane(QWidget):
    """Settings of the next load on top, what is loaded below; errors stay until read."""

    header_read = Signal(object)
    """A GgufHeader, or the sentence that says why there is none."""
    demo_made = Signal(object)
    """Path of the demo model, or the sentence that says why there is none."""

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
        self._cards: tuple[str, ...] = ()
        self._shares: list[QDoubleSpinBox] = []
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
        self.destroyed.connect(functools.partial(self._reader.shutdown, wait=False))
        last = settings.get(LAST_MODEL)
        if last and Path(last).exists():
            self.set_model_path(last)
        self._enable()

    def set_model_path(self, path: str) -> None:
        """Choose a file; its header is read at once."""
        self._path.setText(path)
        self._read_header()

    def load_settings(self) -> LoadSettings:
        """Return the settings as they stand in the pane."""
        mode: SplitMode = self._split.currentData()
        shares = tuple(spin.value() for spin in self._shares)
        shared = mode is not SplitMode.NONE and len(shares) > 1 and len(set(shares)) > 1
        return LoadSettings(
            model=Path(self._path.text().strip()).expanduser(),
            n_ctx=self._ctx.value(),
            n_gpu_layers=-1 if self._all_layers() else self._layers.value(),
            split_mode=mode,
            tensor_split=shares if shared else (),
            n_batch=self._batch.value(),
            n_ubatch=self._ubatch.value(),
            threads=self._threads.value() or None,
            type_k=self._type_k.currentText(),
            type_v=self._type_v.currentText(),
            flash_attn=self._flash.currentText(),
            use_mmap=self._mmap.isChecked(),
            use_mlock=self._mlock.isChecked(),
        )

    def choose_file(self) -> None:
        """Open the file chooser."""
        start = str(Path(self._path.text()).parent) if self._path.text() else str(Path.home())
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", start, "GGUF models (*.gguf);;All files (*)"
        )
        if path:
            self.set_model_path(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one file."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take the file that was dropped."""
        self.set_model_path(event.mimeData().urls()[0].toLocalFile())

    def _build(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(8)
        column.addWidget(label("Model", "title"))
        row = QHBoxLayout()
        self._path = QLineEdit(placeholderText="Path of a .gguf file")
        self._path.setAccessibleName("Model file")
        self._path.setToolTip("Enter reads the file; Ctrl+Enter loads it")
        self._path.returnPressed.connect(self._read_header)
        browse = QPushButton("Open…")
        browse.setToolTip("Ctrl+O")
        browse.clicked.connect(self.choose_file)
        row.addWidget(self._path, 1)
        row.addWidget(browse)
        column.addLayout(row)
        self._facts = label("Choose a GGUF file, or drop one here.", "muted")
        column.addWidget(self._facts)
        self._demo = named(QPushButton("Make a small demo model"), "link")
        self._demo.setToolTip("Random weights, 2 MiB: it runs for real, and its replies are noise")
        self._demo.clicked.connect(self._make_demo)
        column.addWidget(self._demo, 0, Qt.AlignmentFlag.AlignLeft)
        self._error = label("", "error")
        self._error.hide()
        column.addWidget(self._error)
        column.addWidget(label("Where it goes", "section"))
        column.addLayout(self._placement())
        self._more = named(QPushButton("More settings"), "link")
        self._more.setCheckable(True)
        column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._advanced = self._advanced_form()
        self._advanced.hide()
        self._more.toggled.connect(self._advanced.setVisible)
        column.addWidget(self._advanced)
        column.addLayout(self._buttons())
        column.addWidget(self._progress)
        column.addWidget(self._loaded)
        column.addStretch(1)
        for spin in inside.findChildren(QSpinBox):
            spin.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll_area(inside))
        self.setMinimumWidth(inside.minimumSizeHint().width() + 12)

    def _buttons(self) -> QHBoxLayout:
        buttons = QHBoxLayout()
        self._load = named(QPushButton("Load"), "primary")
        self._load.setToolTip("Ctrl+Enter")
        self._load.clicked.connect(self.load)
        self._cancel = QPushButton("Cancel")
        self._cancel.clicked.connect(self._engine.cancel)
        self._unload = QPushButton("Unload")
        self._unload.clicked.connect(self._engine.unload)
        for button in (self._load, self._cancel, self._unload):
            buttons.addWidget(button)
        self._progress = QProgressBar(minimum=0, maximum=1000)
        self._progress.hide()
        self._loaded = named(QFrame(), "card")
        self._loaded_text = label("")
        QVBoxLayout(self._loaded).addWidget(self._loaded_text)
        self._loaded.hide()
        return buttons

    def _placement(self) -> QFormLayout:
        form = form_layout()
        layers = QHBoxLayout()
        self._layers_slider = QSlider(Qt.Orientation.Horizontal)
        self._layers_slider.setMaximum(0)
        self._layers = QSpinBox(maximum=0)
        self._layers.setAccessibleName("GPU layers")
        self._layers_slider.valueChanged.connect(self._layers.setValue)
        self._layers.valueChanged.connect(self._layers_slider.setValue)
        layers.addWidget(self._layers_slider, 1)
        layers.addWidget(self._layers)
        form.addRow("GPU layers", layers)
        self._layers_note = label("", "muted")
        form.addRow("", self._layers_note)
        self._layers.valueChanged.connect(self._note_layers)
        self._ctx = QSpinBox(minimum=256, maximum=1_048_576, singleStep=1024, value=DEFAULT_CTX)
        self._ctx.setSuffix(" tokens")
        self._ctx.setAccessibleName("Context")
        form.addRow("Context", self._ctx)
        self._split = QComboBox()
        for mode in SPLIT_SENTENCES:
            mark = {SplitMode.ROW: " (deprecated)", SplitMode.TENSOR: " (experimental)"}
            self._split.addItem(mode.value + mark.get(mode, ""), mode)
        self._split.setAccessibleName("Split mode")
        form.addRow("Split mode", self._split)
        self._split_note = label(SPLIT_SENTENCES[SplitMode.LAYER], "muted")
        form.addRow("", self._split_note)
        self._split.currentIndexChanged.connect(self._follow_split)
        self._share_row = QWidget()
        self._share_layout = QGridLayout(self._share_row)
        self._share_layout.setContentsMargins(0, 0, 0, 0)
        self._share_label = QLabel("Tensor split")
        form.addRow(self._share_label, self._share_row)
        self._share_row.hide()
        self._share_label.hide()
        return form

    def _advanced_form(self) -> QWidget:
        widget = QWidget()
        form = form_layout()
        widget.setLayout(form)
        self._batch = QSpinBox(minimum=1, maximum=16384, value=512)
        self._ubatch = QSpinBox(minimum=1, maximum=16384, value=512)
        self._threads = QSpinBox(minimum=0, maximum=512)
        self._threads.setSpecialValueText("all physical cores")
        self._type_k, self._type_v, self._flash = QComboBox(), QComboBox(), QComboBox()
        self._type_k.addItems(KV_TYPES)
        self._type_v.addItems(KV_TYPES)
        self._flash.addItems(("auto", "on", "off"))
        self._mmap = QCheckBox("Map the file (mmap)")
        self._mmap.setChecked(True)
        self._mlock = QCheckBox("Keep it from being swapped (mlock)")
        form.addRow("Batch", self._batch)
        form.addRow("Micro-batch", self._ubatch)
        form.addRow("CPU threads", self._threads)
        form.addRow("K cache", self._type_k)
        form.addRow("V cache", self._type_v)
        form.addRow("Flash attention", self._flash)
        form.addRow(self._mmap)
        form.addRow(self._mlock)
        return widget

    @Slot()
    def load(self) -> None:
        """Load what is chosen."""
        if self._load.isEnabled():
            self._show_error("")
            self._engine.load(self.load_settings())

    def _all_layers(self) -> bool:
        return self._layers.value() == self._layers.maximum()

    @Slot()
    def _note_layers(self) -> None:
        if self._header is None:
            self._layers_note.setText("")
        elif not self._cards:
            self._layers_note.setText("No card: the model runs on the CPU.")
        elif self._all_layers():
            self._layers_note.setText("Everything on the cards, the output layer with it.")
        else:
            rest = self._layers.maximum() - self._layers.value()
            self._layers_note.setText(f"{rest} of {self._layers.maximum()} on the CPU: slower.")

    @Slot()
    def _follow_split(self) -> None:
        mode: SplitMode = self._split.currentData()
        self._split_note.setText(SPLIT_SENTENCES[mode])
        visible = mode is not SplitMode.NONE and len(self._cards) > 1
        self._share_row.setVisible(visible)
        self._share_label.setVisible(visible)

    @Slot()
    def _read_header(self) -> None:
        path = Path(self._path.text().strip()).expanduser()
        self._header = None
        self._facts.setText("Reading…")
        self._enable()
        future = self._reader.submit(_header_or_sentence, path)
        future.add_done_callback(self._header_done)

    def _header_done(self, future: "Future[tuple[Path, GgufHeader | str]]") -> None:
        self.header_read.emit(future.result())

    @Slot(object)
    def _take_header(self, answer: "tuple[Path, GgufHeader | str]") -> None:
        path, header = answer
        if path != Path(self._path.text().strip()).expanduser():
            return  # Another file was chosen meanwhile.
        if isinstance(header, str):
            self._facts.setText("Choose a GGUF file, or drop one here.")
            self._show_error(header)
            self._enable()
            return
        self._header = header
        self._show_error("")
        units = header.n_layer + 1
        self._layers_slider.setMaximum(units)
        self._layers.setMaximum(units)
        self._layers.setValue(units)
        trained = header.n_ctx_train or self._ctx.maximum()
        self._ctx.setMaximum(max(256, trained))
        self._ctx.setValue(min(DEFAULT_CTX, trained))
        template = "" if header.chat_template else "\nIt brings no chat template; ChatML stands in."
        self._facts.setText(
            f"{header.name}\n{header.file_type} · {words.gib(header.size_mib)} · "
            f"{_count(header.n_params)} parameters\n{header.arch} · {header.n_layer} layers · "
            f"trained on {header.n_ctx_train} tokens{template}"
        )
        self._note_layers()
        self._enable()
        try:
            self._settings.set(LAST_MODEL, str(path))
        except SettingsError as error:
            self._show_error(str(error))

    @Slot()
    def _make_demo(self) -> None:
        self._demo.setEnabled(False)
        path = paths.data_dir() / "models" / "rigpanel-demo-random-weights.gguf"
        self._reader.submit(_demo_or_sentence, path).add_done_callback(self._demo_done)

    def _demo_done(self, future: "Future[Path | str]") -> None:
        self.demo_made.emit(future.result())

    @Slot(object)
    def _take_demo(self, made: Path | str) -> None:
        self._demo.setEnabled(True)
        if isinstance(made, str):
            self._show_error(made)
        else:
            self.set_model_path(str(made))

    @Slot(object)
    def _take_tick(self, tick: Tick) -> None:
        cards = tick.snapshot.cards
        if tuple(gpu.uuid for gpu in cards) != self._cards:
            self._cards = tuple(gpu.uuid for gpu in cards)
            self._set_shares(cards)
            self._follow_split()
            self._note_layers()

    def _set_shares(self, cards: tuple[GpuSample, ...]) -> None:
        for spin in self._shares:
            spin.deleteLater()
        self._shares = []
        for place, gpu in enumerate(cards):
            spin = QDoubleSpinBox(maximum=1000.0, value=1.0, singleStep=0.1, decimals=2)
            spin.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
            spin.setToolTip(f"Share of {gpu.label}; equal shares leave it to llama.cpp")
            spin.setAccessibleName(f"Tensor split of {gpu.label}")
            self._share_layout.addWidget(spin, place // SHARES_A_ROW, place % SHARES_A_ROW)
            self._shares.append(spin)

    @Slot(float)
    def _take_progress(self, fraction: float) -> None:
        self._progress.setValue(round(fraction * 1000))

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        loading = status.state is EngineState.LOADING
        if loading and not self._progress.isVisible():
            self._progress.setValue(0)
        self._progress.setVisible(loading)
        if status.model is None:
            self._loaded.hide()
        if status.problem is not None:
            self._show_error(status.problem)
        self._enable()

    @Slot(object)
    def _take_model(self, model: LoadedModel) -> None:
        lines = [f"{model.name} is loaded ({model.load_s:.1f} s)", f"Context {model.n_ctx} tokens"]
        for use in model.devices:
            total = use.weights_mib + use.kv_mib + use.compute_mib
            lines.append(
                f"{use.device}: {total:.0f} MiB (weights {use.weights_mib:.0f}, "
                f"KV cache {use.kv_mib:.0f}, compute {use.compute_mib:.0f})"
            )
        if model.template != "file":
            lines.append(f"Chat template: {model.template}")
        self._loaded_text.setText("\n".join(lines))
        self._loaded.show()

    @Slot(str)
    def _take_failure(self, sentence: str) -> None:
        self._show_error(sentence)

    @Slot()
    def _take_cancelled(self) -> None:
        self._show_error("The load was cancelled.")

    def _show_error(self, sentence: str) -> None:
        self._error.setText(sentence)
        self._error.setVisible(bool(sentence))

    def _enable(self) -> None:
        state = self._engine.status.state
        busy = state in {EngineState.LOADING, EngineState.GENERATING}
        self._load.setEnabled(self._header is not None and not busy)
        self._cancel.setVisible(state is EngineState.LOADING)
        self._unload.setVisible(state in {EngineState.READY, EngineState.GENERATING})
        self._unload.setEnabled(state is EngineState.READY)
        self._demo.setVisible(self._header is None)


def _count(n_params: int) -> str:
    for unit, name in ((10**9, "B"), (10**6, "M")):
        if n_params >= unit:
            return f"{n_params / unit:.1f} {name}"
    return str(n_params)


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
