# SPDX-License-Identifier: MIT
"""A person's own presets, and curves in files that are chosen in a dialog."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.presets import PRESETS, for_bottom_card
from rigpanel.cooling.saved_curves import SavedCurveError, SavedCurves, export_curve, import_curve

BOTTOM = "Bottom card: this curve 6 °C earlier"
ENDING = "json"
KINDS = f"Fan curves (*.{ENDING})"


class CurveFiles(QObject):
    """Brings curves in and puts them away; nothing it does changes one that is drawn."""

    curve_read = Signal(object, str)
    """A `FanCurve`, and a sentence that says where it is from."""
    saved = Signal(str)
    """A sentence that says where to."""
    failed = Signal(str)
    names_changed = Signal()

    def __init__(self, own: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self._presets = SavedCurves(own)
        self._folder = Path.home()
        self._exported: FanCurve | None = None

    def names(self) -> list[str]:
        """Return the presets by name; where a person's own cannot be read, `failed` says why."""
        try:
            found = list(self._presets.read())
        except SavedCurveError as error:
            self.failed.emit(str(error))
            found = list(PRESETS)
        return [*found, BOTTOM]

    def read_preset(self, name: str, drawn: FanCurve) -> None:
        """Bring a preset in; one of them is made from the curve that is drawn."""
        if name == BOTTOM:
            self.curve_read.emit(for_bottom_card(drawn), "")
            return
        try:
            curve = self._presets.read()[name]
        except SavedCurveError as error:
            self.failed.emit(str(error))
        except KeyError:
            self.failed.emit(f"{name} is no longer among the saved presets.")
            self.names_changed.emit()
        else:
            self.curve_read.emit(curve, "")

    def save(self, name: str, curve: FanCurve) -> None:
        """Keep a curve as a preset of one's own."""
        try:
            self._presets.save(name, curve)
        except SavedCurveError as error:
            self.failed.emit(str(error))
        else:
            self.names_changed.emit()
            self.saved.emit(f"Saved as {name.strip()}; it is in the list of presets.")

    @Slot()
    def choose_import(self) -> None:
        """Ask for a file, and bring its curve in."""
        dialog = self._dialog("Import a curve", f"{KINDS};;All files (*)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._import)
        dialog.open()

    def choose_export(self, curve: FanCurve) -> None:
        """Ask for a file, and write a curve into it."""
        self._exported = curve
        dialog = self._dialog("Export the curve", KINDS)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ENDING)
        dialog.selectFile(f"fan-curve.{ENDING}")
        dialog.fileSelected.connect(self._export)
        dialog.open()

    def _dialog(self, title: str, kinds: str) -> QFileDialog:
        dialog = QFileDialog(self._window, title, str(self._folder), kinds)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog

    @Slot(str)
    def _import(self, path: str) -> None:
        self._folder = Path(path).parent
        try:
            curve = import_curve(Path(path))
        except SavedCurveError as error:
            self.failed.emit(str(error))
        else:
            self.curve_read.emit(curve, f"Drawn as {path} has it.")

    @Slot(str)
    def _export(self, path: str) -> None:
        self._folder = Path(path).parent
        if self._exported is None:
            return
        try:
            export_curve(Path(path), self._exported)
        except SavedCurveError as error:
            self.failed.emit(str(error))
        else:
            self.saved.emit(f"Exported to {path}.")
