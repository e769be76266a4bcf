# SPDX-License-Identifier: MIT
"""The access token of a model server: where it comes from, and a line to give one."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from rigpanel.library.download import TokenFrom
from rigpanel.ui.panes.load.download_work import TokenTold
from rigpanel.ui.widgets import button, column, label

ASKING = "Asking the keyring …"


class TokenRow(QWidget):
    """A sentence and its buttons; the line to write in is there while it is wanted."""

    keep_requested = Signal(str)
    forget_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        rows = column(spacing=6)
        self.setLayout(rows)
        line = QHBoxLayout()
        line.setSpacing(6)
        self.says = label("", "muted")
        line.addWidget(self.says, 1)
        self.give = button("Give one…", "link", "For private and gated repositories")
        self.give.clicked.connect(self._open)
        line.addWidget(self.give)
        self.forget = button("Forget", "link", "Take it out of the keyring")
        self.forget.setAccessibleName("Forget the access token")
        self.forget.clicked.connect(self._forget)
        line.addWidget(self.forget)
        rows.addLayout(line)
        self._editor = QWidget()
        row = QHBoxLayout(self._editor)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.text = QLineEdit(placeholderText="Access token")
        self.text.setAccessibleName("Access token")
        self.text.setEchoMode(QLineEdit.EchoMode.Password)
        self.text.returnPressed.connect(self._keep)
        row.addWidget(self.text, 1)
        self.keep = button("Keep", "", "Keep it in this system's keyring")
        self.keep.clicked.connect(self._keep)
        row.addWidget(self.keep)
        self._editor.hide()
        rows.addWidget(self._editor)
        self.problem = label("", "error")
        self.problem.hide()
        rows.addWidget(self.problem)
        self.take(TokenTold())

    def take(self, told: TokenTold) -> None:
        """Show where the token comes from now."""
        self.says.setText(
            {
                TokenFrom.NOWHERE: "No access token.",
                TokenFrom.KEYRING: f"The keyring keeps an access token for {told.server}.",
                TokenFrom.ENVIRONMENT: "Access token from HF_TOKEN or huggingface_hub's login.",
            }[told.token_from]
        )
        kept = told.token_from is TokenFrom.KEYRING
        self.give.setText("Replace…" if kept else "Give one…")
        self.give.setVisible(told.token_from is not TokenFrom.ENVIRONMENT)
        self.forget.setVisible(kept)
        self.problem.setText(told.problem)
        self.problem.setVisible(bool(told.problem))
        if kept and not told.problem:
            self._close()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave the line on Esc, and nothing more."""
        if event.key() == Qt.Key.Key_Escape and self._editor.isVisible():
            self._close()
            self.give.setFocus()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _open(self) -> None:
        self._editor.show()
        self.text.setFocus()

    def _close(self) -> None:
        self.text.clear()
        self._editor.hide()
        self.problem.hide()

    @Slot()
    def _keep(self) -> None:
        if token := self.text.text().strip():
            self.says.setText(ASKING)
            self.keep_requested.emit(token)

    @Slot()
    def _forget(self) -> None:
        self.says.setText(ASKING)
        self.forget_requested.emit()
