# SPDX-License-Identifier: MIT
"""The loader's foot, always in view: progress, and Load, Cancel or Unload as the engine stands."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from rigpanel.engine.messages import EngineState
from rigpanel.ui.widgets import button, column


class LoadFoot(QWidget):
    """What the engine can be told now is offered; what it cannot is not."""

    load_requested = Signal()
    cancel_requested = Signal()
    unload_requested = Signal()
    refusal_requested = Signal()
    """A person wants to see the setting that has to change."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = rows = column(margins=(16, 8, 16, 16), spacing=8)
        self.setLayout(rows)
        self.progress = QProgressBar(minimum=0, maximum=1000)
        self.progress.setFormat("Loading  %p %")
        self.progress.hide()
        rows.addWidget(self.progress)
        self.refused_button = button("", "link", "Go to the setting that has to change")
        self.refused_button.setText("llama.cpp would refuse this: see why")
        self.refused_button.clicked.connect(self.refusal_requested)
        self.refused_button.hide()
        rows.addWidget(self.refused_button)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.load_button = button("Load", "primary", "Load the model (Ctrl+Enter)")
        self.load_button.clicked.connect(self.load_requested)
        self.cancel_button = button("Cancel", "", "Stop loading; nothing stays in memory")
        self.cancel_button.clicked.connect(self.cancel_requested)
        self.unload_button = button("Unload", "", "Give all of the model's memory back")
        self.unload_button.clicked.connect(self.unload_requested)
        row.addWidget(self.load_button, 1)
        row.addWidget(self.cancel_button, 1)
        row.addWidget(self.unload_button)
        rows.addLayout(row)

    def add(self, part: QWidget) -> None:
        """Put something above the buttons."""
        self._rows.insertWidget(0, part)

    @Slot(float)
    def take_progress(self, fraction: float) -> None:
        """Show how far a load is, 0 to 1."""
        self.progress.setValue(round(fraction * 1000))

    def follow(self, state: EngineState, *, allowed: bool, refused: bool) -> None:
        """Offer what can be done: `allowed` is whether there is a model that may be loaded."""
        loading = state is EngineState.LOADING
        loaded = state in {EngineState.READY, EngineState.GENERATING}
        self.load_button.setEnabled(allowed and not loading and state is not EngineState.GENERATING)
        self.refused_button.setVisible(refused and not loading)
        self.load_button.setVisible(not loading)
        self.load_button.setText("Load again" if loaded else "Load")
        self.cancel_button.setVisible(loading)
        self.unload_button.setVisible(loaded)
        self.unload_button.setEnabled(state is EngineState.READY)
