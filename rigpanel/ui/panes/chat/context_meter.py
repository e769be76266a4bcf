# SPDX-License-Identifier: MIT
"""How much of the context is in use, as a bar that warms before it is full."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from rigpanel.ui.theme import Theme

WARM_FROM = 0.85
HOT_FROM = 0.98
BAR_PX = 36


class ContextMeter(QWidget):
    """`3.1k / 8.2k` beside a bar; nothing while no model is loaded."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._used = 0
        self._n_ctx: int | None = None
        font = self.font()
        font.setPixelSize(12)
        self.setFont(font)
        self.setAccessibleName("Context in use")
        self._tell()

    @property
    def text(self) -> str:
        """What stands beside the bar."""
        return "" if self._n_ctx is None else f"{_short(self._used)} / {_short(self._n_ctx)}"

    @property
    def state(self) -> str:
        """How full it is in a word: ok, warm or hot."""
        share = self._used / self._n_ctx if self._n_ctx else 0.0
        return "hot" if share >= HOT_FROM else "warm" if share >= WARM_FROM else "ok"

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self.update()

    def set_used(self, used: int) -> None:
        """Show so many tokens in use."""
        self._used = used
        self._tell()

    def set_size(self, n_ctx: int | None) -> None:
        """Show a context of so many tokens; None where there is no model."""
        self._n_ctx = n_ctx
        self._tell()

    def sizeHint(self) -> QSize:
        """As wide as bar and figures."""
        return QSize(BAR_PX + 6 + self.fontMetrics().horizontalAdvance(self.text) + 2, 20)

    def minimumSizeHint(self) -> QSize:
        """Show the bar alone where there is no room."""
        return QSize(BAR_PX, 20)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - drawn whole
        """Draw bar and figures."""
        if self._n_ctx is None:
            return
        theme = self._theme
        colour = {"ok": theme.accent, "warm": theme.warm, "hot": theme.hot}[self.state]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        bar = QRectF(0, self.height() / 2 - 3, BAR_PX, 6)
        painter.setBrush(QColor(theme.border))
        painter.drawRoundedRect(bar, 3, 3)
        share = min(1.0, self._used / self._n_ctx)
        if share > 0:
            bar.setWidth(max(3.0, BAR_PX * share))
            painter.setBrush(QColor(colour))
            painter.drawRoundedRect(bar, 3, 3)
        if self.width() >= self.sizeHint().width():
            painter.setPen(QColor(theme.text_muted if self.state == "ok" else colour))
            place = self.rect().adjusted(BAR_PX + 6, 0, 0, 0)
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, self.text)

    def _tell(self) -> None:
        if self._n_ctx is None:
            self.setToolTip("")
        else:
            share = 100 * self._used / self._n_ctx
            self.setToolTip(f"Context: {self._used} of {self._n_ctx} tokens in use ({share:.0f} %)")
        self.setVisible(self._n_ctx is not None)
        self.updateGeometry()
        self.update()


def _short(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.1f}k"
