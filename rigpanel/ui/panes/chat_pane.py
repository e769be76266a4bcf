# SPDX-License-Identifier: MIT
"""The chat pane: what was said, a streamed reply with its figures, and where to write."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QWidget

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
from rigpanel.ui.panes.chat_message import ChatMessageView
from rigpanel.ui.panes.composer import Composer
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import button, centred, column, label, named, scroll_area

if TYPE_CHECKING:
    from rigpanel.ui.markdown import MarkdownRenderer

NEAR_END_PX = 40
COLUMN_PX = 860
"""Lines longer than this are hard to read."""
CUT_OFF = "The reply ends here: the engine is gone."


class ChatPane(QWidget):
    """One conversation with the loaded model."""

    load_requested = Signal()
    """Load what the loader has chosen: there is no earlier load to repeat."""

    def __init__(self, engine: EngineBridge, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._theme = theme
        self._model: LoadedModel | None = engine.status.model
        self._reply: ChatMessageView | None = None
        self._follow = True
        self._send_next = False
        self.views: list[ChatMessageView] = []
        """The messages, oldest first."""
        self._build()
        engine.status_changed.connect(self._take_status)
        engine.model_loaded.connect(self._take_model)
        engine.prefill_progressed.connect(self._take_prefill)
        engine.text_ready.connect(self._take_text)
        engine.reply_finished.connect(self._take_finish)
        engine.reply_failed.connect(self._take_failure)
        self._take_status(engine.status)

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        for view in self.views:
            view.set_renderer(self._renderer())

    @Slot()
    def focus_composer(self) -> None:
        """Put the cursor where a message is written."""
        self.composer.setFocus()

    @Slot()
    def send(self) -> None:
        """Send what is written; the reply streams in below."""
        text = self.composer.toPlainText().strip()
        if not text or self._engine.status.state is not EngineState.READY:
            return
        if self._reply is not None:
            self._send_next = True  # the last reply's figures are still on their way
            return
        self.composer.clear()
        self._follow = True
        request = ChatRequest((*self._turns(), ChatMessage("user", text)))
        self._add("user", "You", text)
        self._reply = self._add("assistant", self._model.name if self._model else "Model", "")
        self._reply.set_note("Reading the prompt …")
        self._engine.send(request)

    @Slot()
    def new_chat(self) -> None:
        """Begin anew; a reply under way is stopped."""
        if self._engine.status.state is EngineState.GENERATING:
            self._engine.cancel()
        for view in self.views:
            view.hide()
            view.deleteLater()
        self.views = []
        self._reply = None
        self._used.setText("")
        self._enable()
        self.focus_composer()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc stops a reply wherever in the chat the focus is."""
        if event.key() == Qt.Key.Key_Escape:
            self._stop_reply()
        else:
            super().keyPressEvent(event)

    @Slot()
    def copy_last_reply(self) -> None:
        """Put the last reply on the clipboard, as far as it has come (Ctrl+Shift+C)."""
        replies = [view.text for view in self.views if view.role == "assistant"]
        if replies:
            QGuiApplication.clipboard().setText(replies[-1])

    def _turns(self) -> tuple[ChatMessage, ...]:
        """Return what was said, without questions that were never answered."""
        turns: list[ChatMessage] = []
        for asked, replied in zip(self.views[::2], self.views[1::2], strict=True):
            if replied.text:
                turns.append(ChatMessage("user", asked.text))
                turns.append(ChatMessage("assistant", replied.text))
        return tuple(turns)

    def _build(self) -> None:
        inside = QWidget()
        inside.setMaximumWidth(COLUMN_PX)
        self._rows = column(margins=(16, 8, 16, 8), spacing=12)
        inside.setLayout(self._rows)
        self._calm = QWidget()
        calm = column(spacing=8)
        self._calm.setLayout(calm)
        self.empty_title, self.empty_hint = label("", "title"), label("", "empty")
        calm.addStretch(2)
        for part in (self.empty_title, self.empty_hint):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            calm.addWidget(part)
        calm.addStretch(3)
        self._rows.addWidget(self._calm, 1)
        self._rows.addStretch(0)
        self._area = scroll_area(inside)
        bar = self._area.verticalScrollBar()
        bar.rangeChanged.connect(self._range_changed)
        bar.valueChanged.connect(self._scrolled)
        whole = column(spacing=4)
        self.setLayout(whole)
        whole.addWidget(centred(self._head(), COLUMN_PX))
        whole.addWidget(self._area, 1)
        whole.addWidget(centred(self._foot(), COLUMN_PX))

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 12, 0)
        head.setSpacing(12)
        head.addWidget(named(QLabel("Chat"), "title"))
        head.addStretch(1)
        self._used = named(QLabel(), "muted")
        head.addWidget(self._used)
        self.new_button = button("New chat", "", "Begin anew (Ctrl+N)")
        self.new_button.clicked.connect(self.new_chat)
        head.addWidget(self.new_button)
        return head

    def _foot(self) -> QWidget:
        foot = QWidget()
        rows = column(margins=(16, 4, 16, 16), spacing=8)
        foot.setLayout(rows)
        self.problem = named(QFrame(), "problem")
        trouble = column(margins=(12, 8, 12, 10))
        self.problem.setLayout(trouble)
        self._sentence = label("", "error")
        trouble.addWidget(self._sentence)
        self.reload_button = button("Reload the model", "", "Load it again with the same settings")
        self.reload_button.clicked.connect(self._reload)
        trouble.addWidget(self.reload_button, 0, Qt.AlignmentFlag.AlignLeft)
        rows.addWidget(self.problem)
        self._frame = named(QFrame(), "composer")
        row = QHBoxLayout(self._frame)
        row.setContentsMargins(10, 6, 8, 6)
        row.setSpacing(8)
        self.composer = Composer()
        self.composer.send_requested.connect(self.send)
        self.composer.stop_requested.connect(self._stop_reply)
        self.composer.textChanged.connect(self._enable)
        self.composer.focus_changed.connect(self._show_focus)
        row.addWidget(self.composer, 1)
        self.send_button = button("Send", "primary", "Enter sends, Shift+Enter starts a new line")
        self.send_button.clicked.connect(self.send)
        self.stop_button = button("Stop", "", "Stop the reply (Esc)")
        self.stop_button.clicked.connect(self._stop_reply)
        for part in (self.send_button, self.stop_button):
            row.addWidget(part, 0, Qt.AlignmentFlag.AlignBottom)
        rows.addWidget(self._frame)
        return foot

    def _renderer(self) -> "MarkdownRenderer":
        from rigpanel.ui.markdown import MarkdownRenderer  # not before there is something to draw

        return MarkdownRenderer(self._theme)

    def _add(self, role: str, author: str, text: str) -> ChatMessageView:
        view = ChatMessageView(role, author, text, self._renderer())
        self.views.append(view)
        self._rows.insertWidget(self._rows.count() - 1, view)
        self._enable()
        return view

    @Slot()
    def _stop_reply(self) -> None:
        if self._engine.status.state is EngineState.GENERATING:
            self._engine.cancel()

    @Slot()
    def _reload(self) -> None:
        if self._model is None:
            self.load_requested.emit()
        else:
            self._engine.load(self._model.settings)

    @Slot(object)
    def _take_prefill(self, progress: PrefillProgressed) -> None:
        if self._reply is not None and not self._reply.text:
            cached = f" ({progress.n_cached} cached)" if progress.n_cached else ""
            self._reply.set_note(
                f"Reading the prompt: {progress.n_done} / {progress.n_prompt} tokens{cached}"
            )

    @Slot(str, int)
    def _take_text(self, text: str, n_gen: int) -> None:
        if self._reply is not None:
            self._reply.append(text)
            self._reply.set_note(f"{n_gen} tokens …")

    @Slot(object)
    def _take_finish(self, stats: ReplyStats) -> None:
        if self._reply is not None:
            self._reply.finish()
            n_ctx = None if self._model is None else self._model.n_ctx
            self._reply.set_note(stats_line(stats, n_ctx))
            self._reply = None
            if n_ctx is not None:
                self._used.setText(f"Context {stats.n_prompt + stats.n_gen} / {n_ctx} tokens")
        self._enable()
        self._send_what_waits()

    @Slot(str)
    def _take_failure(self, sentence: str) -> None:
        if self._reply is not None:
            self._reply.finish()
            gone = self._engine.status.problem is not None
            self._reply.set_note(CUT_OFF if gone else sentence, error=True)
            self._reply = None
        self._enable()
        self._send_what_waits()

    def _send_what_waits(self) -> None:
        if self._send_next:
            self._send_next = False
            self.send()

    @Slot(object)
    def _take_model(self, model: LoadedModel) -> None:
        self._model = model
        self._enable()

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        self._sentence.setText(status.problem or "")
        self._sentence.setToolTip("\n".join(status.log_tail))
        self.problem.setVisible(status.problem is not None)
        self._enable()

    @Slot(bool)
    def _show_focus(self, focused: bool) -> None:
        self._frame.setProperty("focused", focused)
        self._frame.style().unpolish(self._frame)
        self._frame.style().polish(self._frame)

    @Slot()
    def _enable(self) -> None:
        state = self._engine.status.state
        ready, busy = state is EngineState.READY, state is EngineState.GENERATING
        self.send_button.setEnabled(ready and bool(self.composer.toPlainText().strip()))
        self.send_button.setVisible(not busy)
        self.stop_button.setVisible(busy)
        self._calm.setVisible(not self.views)
        self._rows.setStretch(self._rows.count() - 1, 1 if self.views else 0)
        self.new_button.setEnabled(bool(self.views))
        if ready or busy:
            name = self._model.name if self._model else "The model"
            self._invite(f"{name} is ready", "Ask it something below.", "Write a message")
        elif state is EngineState.LOADING:
            hint = "You can write already, and send once it is loaded."
            self._invite("Loading the model …", hint, "Write a message")
        else:
            hint = "Choose a GGUF file in the loader or press Ctrl+O, then load it."
            self._invite("No model is loaded", hint, "Load a model first")

    def _invite(self, title: str, hint: str, placeholder: str) -> None:
        self.empty_title.setText(title)
        self.empty_hint.setText(hint)
        self.composer.setPlaceholderText(placeholder)

    @Slot(int, int)
    def _range_changed(self, _low: int, high: int) -> None:
        if self._follow:
            self._area.verticalScrollBar().setValue(high)

    @Slot(int)
    def _scrolled(self, value: int) -> None:
        self._follow = value >= self._area.verticalScrollBar().maximum() - NEAR_END_PX


def stats_line(stats: ReplyStats, n_ctx: int | None) -> str:
    """Return what a reply took, measured, as one line; `n_ctx` is the model's context."""
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
        full = n_ctx is not None and stats.n_prompt + stats.n_gen >= n_ctx - 1
        parts.insert(0, "Cut: the context is full" if full else "Cut at its limit of tokens")
    return " · ".join(parts)
