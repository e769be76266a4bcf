# SPDX-License-Identifier: MIT
"""Caches, batches and threads: what trades memory for speed."""

import dataclasses

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QSpinBox

from rigpanel.engine.checks import MOST_THREADS
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup
from rigpanel.ui.widgets import indented

KV_TYPES = ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "f32")
FLASH = ("auto", "on", "off")
MOST_BATCH = 16384


class Running(SettingsGroup):
    """What the engine keeps, reads at once and runs on."""

    KEYS = (
        "type_k",
        "type_v",
        "flash_attn",
        "n_batch",
        "n_ubatch",
        "threads",
        "use_mmap",
        "use_mlock",
    )

    def __init__(self) -> None:
        super().__init__()
        self.type_k, self.type_v, self.flash = QComboBox(), QComboBox(), QComboBox()
        self.type_k.addItems(KV_TYPES)
        self.type_v.addItems(KV_TYPES)
        self.flash.addItems(FLASH)
        self.batch = indented(QSpinBox(minimum=1, maximum=MOST_BATCH, value=512, singleStep=128))
        self.ubatch = indented(QSpinBox(minimum=1, maximum=MOST_BATCH, value=512, singleStep=128))
        self.threads = indented(QSpinBox(minimum=0, maximum=MOST_THREADS))
        self.threads.setSpecialValueText("all cores")
        self.mmap, self.mlock = QCheckBox(), QCheckBox()
        self.mmap.setChecked(True)
        for key, name, editor, sentence in (
            ("type_k", "K cache", self.type_k, "q8_0 halves the memory of the keys."),
            ("type_v", "V cache", self.type_v, "A quantized one needs flash attention."),
            (
                "flash_attn",
                "Flash attention",
                self.flash,
                "Less memory; auto uses it where it can.",
            ),
            ("n_batch", "Batch", self.batch, "Prompt tokens read between two looks at Stop."),
            ("n_ubatch", "Micro-batch", self.ubatch, "Tokens in one step; more need more memory."),
            ("threads", "CPU threads", self.threads, "For the layers that stay on the CPU."),
            ("use_mmap", "Map the file", self.mmap, "Reads it as it is needed; starts sooner."),
            ("use_mlock", "Keep it in memory", self.mlock, "The system may not swap it out."),
        ):
            self.add(
                key, FieldRow(name, editor, sentence, "n_threads" if key == "threads" else key)
            )
            if isinstance(editor, QComboBox):
                editor.currentIndexChanged.connect(self._tell)
            elif isinstance(editor, QSpinBox):
                editor.valueChanged.connect(self._tell)
            else:
                editor.toggled.connect(self._tell)

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with caches, batches and threads."""
        return dataclasses.replace(
            settings,
            type_k=self.type_k.currentText(),
            type_v=self.type_v.currentText(),
            flash_attn=self.flash.currentText(),
            n_batch=self.batch.value(),
            n_ubatch=self.ubatch.value(),
            threads=self.threads.value() or None,
            use_mmap=self.mmap.isChecked(),
            use_mlock=self.mlock.isChecked(),
        )

    def take(self, settings: LoadSettings) -> None:
        """Show the caches, batches and threads of `settings`."""
        self.type_k.setCurrentText(settings.type_k)
        self.type_v.setCurrentText(settings.type_v)
        self.flash.setCurrentText(settings.flash_attn)
        self.batch.setValue(settings.n_batch)
        self.ubatch.setValue(settings.n_ubatch)
        self.threads.setValue(settings.threads or 0)
        self.mmap.setChecked(settings.use_mmap)
        self.mlock.setChecked(settings.use_mlock)

    def summary(self) -> str:
        """Return the cache types, and flash attention where it was set."""
        k, v, flash = (one.currentText() for one in (self.type_k, self.type_v, self.flash))
        return f"KV {k if k == v else f'{k}/{v}'}" + (
            "" if flash == "auto" else f" · flash {flash}"
        )

    @Slot()
    def _tell(self) -> None:
        self.changed.emit()
