# SPDX-License-Identifier: MIT
"""Why a load did not work: the sentence, what was tried, the engine's last words."""

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QWidget

from rigpanel.fit.load_settings import LoadSettings
from rigpanel.ui.panes.load.settings_words import settings_words
from rigpanel.ui.widgets import button, column, label, named

LOG_LINES = 20


class ProblemCard(QFrame):
    """Stands until the next try; hidden while there is no problem."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "problem")
        rows = column(margins=(12, 8, 12, 8), spacing=4)
        self.setLayout(rows)
        self.sentence = label("", "error")
        self.tried = label("", "muted")
        self.log_button = button("Last lines of its log", "link", "What the engine said before")
        self.log_button.setCheckable(True)
        self.log = label("", "muted")
        self.log.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        for part in (self.sentence, self.tried, self.log_button, self.log):
            rows.addWidget(part)
        self.log_button.toggled.connect(self._fold_log)
        self.show_problem("")

    def show_problem(
        self, sentence: str, tried: LoadSettings | None = None, log_tail: tuple[str, ...] = ()
    ) -> None:
        """Show a sentence, with what was tried and the last lines where there are any."""
        self.sentence.setText(sentence)
        self.tried.setText("" if tried is None else f"Tried: {settings_words(tried)}")
        self.tried.setVisible(tried is not None)
        lines = [line for line in log_tail if line.strip()][-LOG_LINES:]
        self.log.setText("\n".join(_breakable(line) for line in lines))
        self.log_button.setVisible(bool(lines))
        self.log_button.setChecked(False)
        self.log.hide()
        self.setVisible(bool(sentence))

    @Slot(bool)
    def _fold_log(self, shown: bool) -> None:
        self.log.setVisible(shown)


def _breakable(line: str) -> str:
    """Let a long path or number break where the card ends."""
    return line.replace("/", "/\u200b").replace("_", "_\u200b")
