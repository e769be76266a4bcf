# SPDX-License-Identifier: MIT
"""The chat pane: what was said, a streamed reply with its figures, and where to write."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineState,
    EngineStatus,
    FinishReason,
    LoadedModel,
    PrefillProgressed,
    ReplyStats,
)
from rigpanel.ui.bridges import EngineBridge
from rigpanel.ui.markdown import MarkdownRenderer
from rigpanel.ui.panes.chat_message import ChatMessageView
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import label, named, scroll_area

NEAR_END_PX = 40
COMPOSER_LINES = 6


class Composer(QPlainTextEdit):
    """Where a message is written: Enter sends, Shift+Enter starts a line, Esc stops a reply."""

    send_requested = Signal()
    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setAccessibleName("Message")
        self.document().contentsChanged.connect(self._fit)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Send, stop, or write."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not (
            event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        ):
            self.send_requested.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.stop_requested.emit()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _fit(self) -> None:
        lines = min(max(self.document().blockCount(), 1), COMPOSER_LINES)
        self.setFixedHeight(self.fontMetrics().lineSpacing() * lines + 20)


class ChatPane(QWidget):
    """One conversation with the loaded model."""

    reload_requested = Signal()
    open_requested = Signal()

    def __init__(self, engine: EngineBridge, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._renderer = MarkdownRenderer(theme)
        self._model: LoadedModel | None = None
        self._views: list[ChatMessageView] = []
        self._reply: ChatMessageView | None = None
        self._follow = True
        self._build()
        engine.status_changed.connect(self._take_status)
        engine.model_loaded.connect(self._take_model)
        engine.prefill_progressed.connect(self._take_prefill)
        engine.text_ready.connect(self._take_text)
        engine.reply_finished.connect(self._take_finish)
        engine.reply_failed.connect(self._take_failure)
        self._enable()

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._renderer = MarkdownRenderer(theme)
        for view in self._views:
            view.set_renderer(self._renderer)

    def focus_composer(self) -> None:
        """Put the cursor where a message is written."""
        self.composer.setFocus()

    def _build(self) -> None:
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(14, 12, 14, 12)
        self._column.setSpacing(10)
        self._empty = label("", "muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._column.addStretch(1)
        self._column.addWidget(self._empty)
        self._column.addStretch(1)
        self._area = scroll_area(inside)
        bar = self._area.verticalScrollBar()
        bar.rangeChanged.connect(self._range_changed)
        bar.valueChanged.connect(self._scrolled)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(4)
        whole.addLayout(self._head())
        whole.addWidget(self._area, 1)
        whole.addLayout(self._bottom())

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(14, 10, 14, 0)
        head.addWidget(named(QLabel("Chat"), "title"))
        self._context = label("", "muted")
        self._context.setAlignment(Qt.AlignmentFlag.AlignRight)
        head.addWidget(self._context, 1)
        self._new = QPushButton("New chat")
        self._new.setToolTip("Ctrl+N")
        self._new.clicked.connect(self.new_chat)
        head.addWidget(self._new)
        return head

    def _bottom(self) -> QVBoxLayout:
        frame = named(QFrame(), "composer")
        row = QHBoxLayout(frame)
        row.setContentsMargins(10, 6, 8, 6)
        self.composer = Composer()
        self.composer.send_requested.connect(self.send)
        self.composer.stop_requested.connect(self._engine.cancel)
        self.composer.textChanged.connect(self._enable)
        row.addWidget(self.composer, 1)
        self._send = named(QPushButton("Send"), "primary")
        self._send.setToolTip("Enter sends, Shift+Enter starts a new line")
        self._send.clicked.connect(self.send)
        self._stop = QPushButton("Stop")
        self._stop.setToolTip("Esc")
        self._stop.clicked.connect(self._engine.cancel)
        row.addWidget(self._send, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self._stop, 0, Qt.AlignmentFlag.AlignBottom)
        self._state = label("", "muted")
        self._reload = QPushButton("Reload the model")
        self._reload.clicked.connect(self.reload_requested)
        self._reload.hide()
        bottom = QVBoxLayout()
        bottom.setContentsMargins(14, 4, 14, 12)
        bottom.addWidget(self._state)
        bottom.addWidget(self._reload, 0, Qt.AlignmentFlag.AlignLeft)
        bottom.addWidget(frame)
        return bottom

    @Slot()
    def send(self) -> None:
        """Send what is written; the reply streams in below."""
        text = self.composer.toPlainText().strip()
        if not text or self._engine.status.state is not EngineState.READY:
            return
        self.composer.clear()
        self._follow = True
        self._add("user", text)
        messages = tuple(ChatMessage(view.role, view.text) for view in self._views if view.text)
        self._reply = self._add("assistant", "")
        self._reply.set_note("Reading the prompt…")
        self._engine.send(ChatRequest(messages))

    @Slot()
    def new_chat(self) -> None:
        """Begin anew; a reply under way is stopped."""
        self._engine.cancel()
        for view in self._views:
            view.deleteLater()
        self._views = []
        self._reply = None
        self._context.setText("")
        self._enable()

    @Slot()
    def copy_last_reply(self) -> None:
        """Put the last reply on the clipboard, as far as it has come."""
        replies = [view.text for view in self._views if view.role == "assistant"]
        if replies:
            QGuiApplication.clipboard().setText(replies[-1])

    def transcript(self) -> tuple[tuple[str, str], ...]:
        """Return role and text of every message."""
        return tuple((view.role, view.text) for view in self._views)

    def _add(self, role: str, text: str) -> ChatMessageView:
        view = ChatMessageView(role, text, self._renderer)
        self._views.append(view)
        self._column.insertWidget(self._column.count() - 1, view)
        self._enable()
        return view

    @Slot(object)
    def _take_prefill(self, progress: PrefillProgressed) -> None:
        if self._reply is not None and not self._reply.text:
            self._reply.set_note(f"Reading the prompt: {progress.n_done} of {progress.n_prompt}")

    @Slot(str, int)
    def _take_text(self, text: str, n_gen: int) -> None:
        if self._reply is not None:
            self._reply.append(text)
            self._reply.set_note(f"{n_gen} tokens…")

    @Slot(object)
    def _take_finish(self, stats: ReplyStats) -> None:
        if self._reply is not None:
            self._reply.finish()
            self._reply.set_note(stats_line(stats))
            self._reply = None
            used = stats.n_prompt + stats.n_gen
            if self._model is not None:
                self._context.setText(f"Context {used} of {self._model.n_ctx} tokens")
        self._enable()

    @Slot(str)
    def _take_failure(self, sentence: str) -> None:
        if self._reply is not None:
            self._reply.finish()
            self._reply.set_note(sentence, error=True)
            self._reply = None
        self._enable()

    @Slot(object)
    def _take_model(self, model: LoadedModel) -> None:
        self._model = model
        self._enable()

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        self._reload.setVisible(status.problem is not None)
        self._state.setText(status.problem or "")
        named(self._state, "error" if status.problem else "muted")
        self._state.style().polish(self._state)
        self._enable()

    @Slot()
    def _enable(self) -> None:
        state = self._engine.status.state
        ready, busy = state is EngineState.READY, state is EngineState.GENERATING
        self._send.setEnabled(ready and bool(self.composer.toPlainText().strip()))
        self._send.setVisible(not busy)
        self._stop.setVisible(busy)
        self._state.setVisible(bool(self._state.text()))
        self._empty.setVisible(not self._views)
        self._new.setEnabled(bool(self._views))
        if ready or busy:
            self._empty.setText("Ask the model something.")
            self.composer.setPlaceholderText("Write a message")
        elif state is EngineState.LOADING:
            self._empty.setText("The model is being loaded.")
            self.composer.setPlaceholderText("You can write already; send when it is loaded")
        else:
            self._empty.setText("Load a model to chat with it.\nCtrl+O opens a file.")
            self.composer.setPlaceholderText("Load a model first")

    @Slot(int, int)
    def _range_changed(self, _low: int, high: int) -> None:
        if self._follow:
            self._area.verticalScrollBar().setValue(high)

    @Slot(int)
    def _scrolled(self, value: int) -> None:
        self._follow = value >= self._area.verticalScrollBar().maximum() - NEAR_END_PX


def stats_line(stats: ReplyStats) -> str:
    """Return what a reply took, measured, as one line."""
    parts = [f"{stats.n_gen} tokens"]
    if stats.tg_tps is not None:
        parts.append(f"{stats.tg_tps:.1f} tokens/s")
    if stats.ttft_s is not None:
        parts.append(f"first token after {stats.ttft_s:.2f} s")
    cached = f" ({stats.n_cached} cached)" if stats.n_cached else ""
    parts.append(f"prompt {stats.n_prompt} tokens{cached}")
    if stats.pp_tps is not None:
        parts.append(f"read at {stats.pp_tps:.0f} tokens/s")
    if stats.finish_reason is FinishReason.CANCELLED:
        parts.insert(0, "Stopped")
    elif stats.finish_reason is FinishReason.LENGTH:
        parts.insert(0, "Cut: the context is full")
    return " · ".join(parts)
