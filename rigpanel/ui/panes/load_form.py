# SPDX-License-Identifier: MIT
"""The form of a load: layers, context and split in view, the rest under a fold."""

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QWidget,
)

from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.rig.readings import GpuSample
from rigpanel.ui import words
from rigpanel.ui.widgets import button, column, field, indented, label, named, shrinkable

DEFAULT_CTX, LEAST_CTX, MOST_CTX = 4096, 256, 1_048_576
PRESETS_CTX = (4096, 8192, 16384, 32768, 65536, 131072)
SHARES_A_ROW = 2
KV_TYPES = ("f16", "q8_0", "q5_1", "q4_0", "bf16", "f32")
QUANTIZED = {"q8_0", "q5_1", "q4_0"}
SPLITS = {
    SplitMode.LAYER: ("layer", "Whole layers on each card, one after the other. The safe choice."),
    SplitMode.NONE: ("none", "The whole model on one card."),
    SplitMode.ROW: (
        "row (deprecated)",
        "Each matrix is cut across the cards. llama.cpp calls this mode deprecated.",
    ),
    SplitMode.TENSOR: (
        "tensor (experimental)",
        "The cards work on each layer together; a bridge helps. llama.cpp calls this experimental.",
    ),
}


class LoadForm(QWidget):
    """Every setting of the next load but the file itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._header: GgufHeader | None = None
        self._cards: tuple[GpuSample, ...] = ()
        self._shares: list[QDoubleSpinBox] = []
        self._presets: list[QPushButton] = []
        rows = column(spacing=12)
        self.setLayout(rows)
        rows.addWidget(named(QLabel("Where it goes"), "section"))
        rows.addWidget(self._layers_row())
        rows.addWidget(self._context_row())
        rows.addWidget(self._split_rows())
        self._more = button(
            "More settings", "link", "Batch sizes, threads, cache types and the like"
        )
        self._more.setCheckable(True)
        rows.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._advanced = self._advanced_rows()
        self._advanced.hide()
        rows.addWidget(self._advanced)
        self._more.toggled.connect(self._fold)
        self._follow()

    def settings(self, model: Path) -> LoadSettings:
        """Return the settings as they stand, for the file `model`."""
        mode: SplitMode = self.split.currentData()
        shares = tuple(spin.value() for spin in self._shares)
        shared = mode is not SplitMode.NONE and len(shares) > 1 and len(set(shares)) > 1
        return LoadSettings(
            model=model,
            n_ctx=self.context.value(),
            n_gpu_layers=-1 if self._all_layers else self.layers.value(),
            split_mode=mode,
            tensor_split=shares if shared else (),
            n_batch=self._batch.value(),
            n_ubatch=min(self._ubatch.value(), self._batch.value()),
            threads=self._threads.value() or None,
            type_k=self._type_k.currentText(),
            type_v=self._type_v.currentText(),
            flash_attn=self._flash.currentText(),
            use_mmap=self._mmap.isChecked(),
            use_mlock=self._mlock.isChecked(),
        )

    def set_header(self, header: GgufHeader | None) -> None:
        """Take the limits of another model; all layers on the cards, the context kept if it can."""
        self._header = header
        if header is not None:
            units = header.n_layer + 1
            self._slider.setMaximum(units)
            self.layers.setMaximum(units)
            self.layers.setSuffix(f" / {units}")
            self.layers.setValue(units)
            self.context.setMaximum(max(LEAST_CTX, header.n_ctx_train or MOST_CTX))
        for preset, n_ctx in zip(self._presets, PRESETS_CTX, strict=True):
            preset.setVisible(n_ctx <= self.context.maximum())
        self._follow()

    def set_cards(self, cards: tuple[GpuSample, ...]) -> None:
        """Take the cards a model can be laid over."""
        if [gpu.uuid for gpu in cards] == [gpu.uuid for gpu in self._cards]:
            return
        self._cards = cards
        for old in self._share_box.children():
            if isinstance(old, QWidget):
                self._share_grid.removeWidget(old)
                old.deleteLater()
        self._shares = []
        for place, gpu in enumerate(cards):
            spin = QDoubleSpinBox(maximum=1000.0, value=1.0, singleStep=0.1, decimals=2)
            spin.setPrefix(f"GPU {gpu.index}:  ")
            spin.setAccessibleName(f"Tensor split of {gpu.label}")
            spin.setToolTip(f"Share of {gpu.label}; equal shares leave it to llama.cpp")
            self._share_grid.addWidget(
                shrinkable(indented(spin)), place // SHARES_A_ROW, place % SHARES_A_ROW
            )
            self._shares.append(spin)
        self._follow()

    @property
    def shares(self) -> tuple[QDoubleSpinBox, ...]:
        """The tensor split's fields, one a card; hidden where there is nothing to split."""
        return tuple(self._shares)

    @property
    def _all_layers(self) -> bool:
        return self.layers.value() == self.layers.maximum()

    def _layers_row(self) -> QWidget:
        row = QHBoxLayout()
        row.setSpacing(12)
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setMaximum(0)
        self._slider.setAccessibleName("GPU layers")
        self.layers = QSpinBox(maximum=0)
        self.layers.setAccessibleName("GPU layers")
        indented(self.layers).setFixedWidth(96)
        self._slider.valueChanged.connect(self.layers.setValue)
        self.layers.valueChanged.connect(self._slider.setValue)
        self.layers.valueChanged.connect(self._follow)
        row.addWidget(self._slider, 1)
        row.addWidget(self.layers)
        self.layers_note = label("", "muted")
        return field("GPU layers", row, self.layers_note)

    def _context_row(self) -> QWidget:
        self.context = QSpinBox(
            minimum=LEAST_CTX, maximum=MOST_CTX, singleStep=1024, value=DEFAULT_CTX
        )
        self.context.setSuffix(" tokens")
        self.context.valueChanged.connect(self._follow)
        presets = QWidget()
        row = QHBoxLayout(presets)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for n_ctx in PRESETS_CTX:
            preset = button(words.tokens(n_ctx), "segment", f"A context of {n_ctx} tokens")
            preset.setCheckable(True)
            preset.setProperty("n_ctx", n_ctx)
            preset.setStyleSheet("padding-left: 4px; padding-right: 4px;")
            preset.clicked.connect(self._take_preset)
            preset.setMaximumWidth(56)
            row.addWidget(shrinkable(preset), 1)
            self._presets.append(preset)
        row.addStretch()
        return field("Context", shrinkable(indented(self.context)), presets)

    def _split_rows(self) -> QWidget:
        self._split_box = QWidget()
        rows = column(spacing=12)
        self._split_box.setLayout(rows)
        self.split = QComboBox()
        for mode, (name, _sentence) in SPLITS.items():
            self.split.addItem(name, mode)
        self.split.currentIndexChanged.connect(self._follow)
        self._split_note = label("", "muted")
        rows.addWidget(field("Split mode", shrinkable(self.split), self._split_note))
        self._share_box = QWidget()
        self._share_grid = QGridLayout(self._share_box)
        self._share_grid.setContentsMargins(0, 0, 0, 0)
        self._share_grid.setSpacing(8)
        self._share_field = field("Tensor split", self._share_box)
        rows.addWidget(self._share_field)
        return self._split_box

    def _advanced_rows(self) -> QWidget:
        whole = QWidget()
        grid = QGridLayout(whole)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(12)
        self._batch = QSpinBox(minimum=1, maximum=16384, value=512, singleStep=128)
        self._ubatch = QSpinBox(minimum=1, maximum=16384, value=512, singleStep=128)
        self._threads = QSpinBox(minimum=0, maximum=512)
        self._threads.setSpecialValueText("all cores")
        self._type_k, self._type_v, self._flash = QComboBox(), QComboBox(), QComboBox()
        self._type_k.addItems(KV_TYPES)
        self._type_v.addItems(KV_TYPES)
        self._flash.addItems(("auto", "on", "off"))
        for combo in (self._type_k, self._type_v, self._flash):
            combo.currentIndexChanged.connect(self._follow)
        fields = (
            ("Batch", self._batch),
            ("Micro-batch", self._ubatch),
            ("K cache", self._type_k),
            ("V cache", self._type_v),
            ("Flash attention", self._flash),
            ("CPU threads", self._threads),
        )
        for spin in (self._batch, self._ubatch, self._threads):
            indented(spin)
        for place, (name, editor) in enumerate(fields):
            grid.addWidget(field(name, shrinkable(editor)), place // 2, place % 2)
        self._cache_note = label("", "muted")
        self._mmap = QCheckBox("Map the file (mmap)")
        self._mmap.setChecked(True)
        self._mlock = QCheckBox("Keep it from being swapped (mlock)")
        for row, wide in enumerate((self._cache_note, self._mmap, self._mlock), start=3):
            grid.addWidget(wide, row, 0, 1, 2)
        return whole

    @Slot(bool)
    def _fold(self, shown: bool) -> None:
        self._advanced.setVisible(shown)
        self._more.setText("Fewer settings" if shown else "More settings")

    @Slot()
    def _take_preset(self) -> None:
        chosen = self.sender()
        if chosen is not None:
            self.context.setValue(chosen.property("n_ctx"))
        self._follow()

    @Slot()
    def _follow(self) -> None:
        """Say what the settings mean, and hide what means nothing on this rig."""
        several = len(self._cards) > 1
        mode: SplitMode = self.split.currentData()
        self._split_box.setVisible(several)
        self._split_note.setText(SPLITS[mode][1])
        self._share_field.setVisible(several and mode is not SplitMode.NONE)
        usable = self._header is not None and bool(self._cards)
        self._slider.setEnabled(usable)
        self.layers.setEnabled(usable)
        self.layers_note.setText(self._layers_sentence())
        for preset in self._presets:
            preset.setChecked(preset.property("n_ctx") == self.context.value())
        refused = self._type_v.currentText() in QUANTIZED and self._flash.currentText() == "off"
        self._cache_note.setText("A quantized V cache needs flash attention." if refused else "")
        self._cache_note.setVisible(refused)

    def _layers_sentence(self) -> str:
        if not self._cards:
            return "No card here: models run on the CPU."
        if self._header is None:
            return "Choose a model to see its layers."
        if self._all_layers:
            return "Everything on the cards, the output layer with it."
        on_cpu = self.layers.maximum() - self.layers.value()
        return f"{on_cpu} of {self.layers.maximum()} stay on the CPU, which is much slower."
