# SPDX-License-Identifier: MIT
"""In which state the fan helper is, and the one click that mends it."""

import os
import sys
from pathlib import Path

from PySide6.QtCore import QProcess, QProcessEnvironment, Slot
from PySide6.QtWidgets import QHBoxLayout, QWidget

import rigpanel
from rigpanel.ui.panes.fans.helper_link import HelperLink, HelperState
from rigpanel.ui.widgets import button, label, rename

SENTENCES = {
    HelperState.RUNNING: (
        "The fan helper runs: what it holds stays in force when this window is closed."
    ),
    HelperState.NOT_RUNNING: (
        "The fan helper does not run, so the cards control their fans themselves. Curves can be "
        "drawn, but not applied."
    ),
    HelperState.NO_PERMISSION: (
        "The fan helper runs, but this user may not connect to its socket. Install it anew."
    ),
    HelperState.SIMULATED: (
        "Simulated helper: what is applied here turns the simulated fans and nothing else."
    ),
}


class HelperBar(QWidget):
    """A sentence and, where something is to be mended, its buttons."""

    def __init__(self, link: HelperLink, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._link = link
        self._process: QProcess | None = None
        self._problem = ""
        self.sentence = label("", "muted")
        self.install = button(
            "Install and start",
            "primary",
            "A service, now and at every boot; asks for the right",
        )
        self.session = button(
            "Only while this panel runs", "", "Installs nothing; asks for the right"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.sentence, 1)
        row.addWidget(self.session)
        row.addWidget(self.install)
        self.install.clicked.connect(self._install)
        self.session.clicked.connect(self._start_session)
        link.state_changed.connect(self._show)
        self._show()

    @Slot()
    def _show(self) -> None:
        state = self._link.state
        if state in {HelperState.RUNNING, HelperState.SIMULATED}:
            self._problem = ""
        waiting = self._process is not None
        mend = state in {HelperState.NOT_RUNNING, HelperState.NO_PERMISSION}
        self.install.setVisible(mend)
        self.session.setVisible(state is HelperState.NOT_RUNNING)
        for part in (self.install, self.session):
            part.setEnabled(not waiting)
        text = "Starting the fan helper; a password may be asked for." if waiting else self._problem
        self.sentence.setText(text or SENTENCES[state])
        rename(self.sentence, "error" if self._problem and not waiting else "muted")

    @Slot()
    def _install(self) -> None:
        self._run([])

    @Slot()
    def _start_session(self) -> None:
        self._run(["--session"])

    def _run(self, arguments: list[str]) -> None:
        """Run the command that a person would type, and show what it says when it fails."""
        process = QProcess(self)
        variables = QProcessEnvironment.systemEnvironment()
        home = str(Path(rigpanel.__file__).parents[1])
        known = variables.value("PYTHONPATH")
        variables.insert("PYTHONPATH", os.pathsep.join(filter(None, (home, known))))
        process.setProcessEnvironment(variables)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._finished)
        self._process, self._problem = process, ""
        self._show()
        process.start(sys.executable, ["-m", "rigpanel", "setup-helper", *arguments])

    @Slot()
    def _finished(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        said = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        fine = process.error() is QProcess.ProcessError.UnknownError  # Qt's word for no error
        failed = not fine or process.exitCode() != 0
        self._problem = (said.splitlines() or ["It could not be started."])[-1] if failed else ""
        process.deleteLater()
        self._show()
