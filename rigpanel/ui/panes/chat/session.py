# SPDX-License-Identifier: MIT
"""What the chat does, without how it looks: the open conversation, the engine and the disk."""

import dataclasses
import time

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from rigpanel.chat.conversation import Conversation, ReplyRecord, title_from
from rigpanel.chat.store import ConversationStore
from rigpanel.engine.messages import (
    ChatRequest,
    ContextNearlyFull,
    EngineState,
    EngineStatus,
    LoadedModel,
    PrefillProgressed,
    ReplyStats,
    Sampling,
    TextGenerated,
    TurnsDropped,
    WhenFull,
)
from rigpanel.ui.answers import Answers
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.chat.energy_meter import EnergyMeter
from rigpanel.ui.panes.chat.figures import counted_tokens
from rigpanel.ui.panes.chat.keeper import Keeper
from rigpanel.ui.panes.chat.talk import Said, Talk

KEEP_MS = 400
"""Streamed text is given to the disk this often: nothing older than a second is lost."""
KEEP_TALKS = 8
CUT_OFF = "The reply ends here: the engine is gone."


class ChatSession(QObject):
    """One conversation with the loaded model; at most one reply at a time comes into it."""

    path_changed = Signal()
    """Another branch or another conversation is shown."""
    said_added = Signal(int)
    """A message has been added, maybe as another branch; it ends the branch that is shown."""
    said_changed = Signal(int)
    """Key of a message of the open conversation that reads otherwise now."""
    used_changed = Signal(int)
    """Tokens of the context in use; 0 where that is not known."""
    reply_ended = Signal()
    """Another message can be sent, if the engine is ready."""
    open_failed = Signal(str)
    store_failed = Signal(str)
    """Why nothing can be written, empty once it works again."""
    list_changed = Signal()

    def __init__(
        self,
        engine: EngineBridge,
        watch: WatchBridge,
        store: ConversationStore | None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._store = store
        self._keeper = None if store is None else Keeper(store, self)
        self._answers = Answers(self)
        self._meter = EnergyMeter(watch, self)
        self._energy_of: Said | None = None
        self.talk = Talk()
        self.sampling = Sampling()
        self.when_full = WhenFull.STOP
        self._model: LoadedModel | None = engine.status.model
        self._reply: Said | None = None
        self._recent: dict[int, Talk] = {}
        """Conversations shown before, as they are in memory: what is not yet on disk, too."""
        self._opening: int | None = None
        self._sampled = self.sampling
        self._thinking_since_s: float | None = None
        self._unkept = ["", ""]
        self._keep_soon = QTimer(self)
        self._keep_soon.setSingleShot(True)
        self._keep_soon.setInterval(KEEP_MS)
        self._keep_soon.timeout.connect(self._keep_text)
        engine.status_changed.connect(self._take_status)
        engine.prefill_progressed.connect(self._take_prefill)
        engine.context_told.connect(self._take_notice)
        engine.text_ready.connect(self._take_text)
        engine.reply_finished.connect(self._take_finish)
        engine.reply_failed.connect(self._take_failure)
        self._meter.measured.connect(self._take_energy)
        if self._keeper is not None:
            self._keeper.trouble_changed.connect(self.store_failed)
            self._keeper.kept.connect(self.list_changed)

    @property
    def model(self) -> LoadedModel | None:
        """The model that answers."""
        return self._model

    @property
    def replying(self) -> bool:
        """Whether a reply is on its way, its figures included."""
        return self._reply is not None

    @property
    def kept(self) -> bool:
        """Whether everything that was said is on disk."""
        return self._keeper is None or (self._keeper.idle and not any(self._unkept))

    @property
    def opening(self) -> bool:
        """Whether a conversation is being read from the disk, to be shown next."""
        return self._opening is not None

    def can_send(self) -> bool:
        """Tell whether a message would be answered now."""
        return self._engine.status.state is EngineState.READY and self._reply is None

    def send(self, text: str) -> None:
        """Send a message at the end of the branch that is shown."""
        self._ask(self.talk.leaf, text)

    def edit(self, key: int, text: str) -> None:
        """Send a message as another branch beside one that was sent before."""
        self._ask(self.talk.said[key].parent, text)

    def regenerate(self, key: int) -> None:
        """Have a message answered again, as another branch."""
        asked = self.talk.said[key].parent
        if asked is None or not self.can_send():
            return
        self._opening = None
        self._answer(asked)

    def choose(self, key: int, step: int) -> None:
        """Show the branch before (-1) or after (1) the one that passes through a message."""
        if self._reply is not None:
            return
        beside = self.talk.siblings(key)
        place = beside.index(key) + step
        if 0 <= place < len(beside):
            self.talk.leaf = self.talk.leaf_below(beside[place])
            if self._keeper is not None:
                self._keeper.choose(self.talk, self.talk.said[self.talk.leaf])
            self.path_changed.emit()
            self.used_changed.emit(_used_by(self.talk))

    def set_system(self, text: str) -> None:
        """Put another system prompt before the conversation, from the next message on."""
        if text == self.talk.system:
            return
        self.talk.system = text
        if self._keeper is not None and self.talk.said:
            self._keeper.set_system(self.talk)

    @Slot()
    def stop(self) -> None:
        """Stop the reply."""
        if self._engine.status.state is EngineState.GENERATING:
            self._engine.cancel()

    def new(self) -> None:
        """Begin anew; a reply under way is stopped."""
        self._show(Talk(self.talk.system if not self.talk.said else ""))

    def open(self, conversation: int) -> None:
        """Show a conversation from the disk; a reply under way is stopped first."""
        if self._store is None or conversation == self.talk.stored:
            self._opening = None
            return
        if conversation in self._recent:
            self._show(self._recent[conversation])
        else:
            self._opening = conversation
            self._answers.bring(
                self._store.open(conversation), self._take_opened, self._take_no_open
            )

    def rename(self, title: str) -> None:
        """Call the open conversation otherwise."""
        self.talk.title = title
        if self._keeper is not None and self.talk.stored is not None:
            self._keeper.rename(self.talk, title)

    def reload(self) -> bool:
        """Load again what was loaded, or being loaded, last; False where there was nothing."""
        settings = self._engine.status.settings
        if settings is None and self._model is not None:
            settings = self._model.settings
        if settings is not None:
            self._engine.load(settings)
        return settings is not None

    def load_with_template(self, template: str) -> None:
        """Load the model again with one of llama.cpp's chat templates."""
        if self._model is not None:
            settings = dataclasses.replace(self._model.settings, chat_template=template)
            self._engine.load(settings)

    def _show(self, talk: Talk) -> None:
        self._opening = None
        self.stop()
        if self.talk.stored is not None:
            self._recent.pop(self.talk.stored, None)
            self._recent[self.talk.stored] = self.talk
            if len(self._recent) > KEEP_TALKS:
                self._recent.pop(next(iter(self._recent)))
        self.talk = talk
        self.path_changed.emit()
        self.used_changed.emit(_used_by(talk))

    def _take_opened(self, conversation: Conversation) -> None:
        if conversation.info.id == self._opening:  # else something else was done meanwhile
            self._show(Talk.of(conversation))

    def _take_no_open(self, sentence: str) -> None:
        self._opening = None
        self.open_failed.emit(sentence)

    def _ask(self, parent: int | None, text: str) -> None:
        self._opening = None
        talk = self.talk
        if self._keeper is not None and talk.stored is None and not talk.said:
            talk.title = title_from(text)
            self._keeper.create(talk)
        said = talk.add(parent, "user", text)
        self.said_added.emit(said.key)
        if self._keeper is not None:
            self._keeper.add(talk, said)
        self._answer(said.key)

    def _answer(self, asked: int) -> None:
        talk = self.talk
        turns = talk.turns(asked)
        reply = talk.add(asked, "assistant", "", finished=False)
        reply.model = self._model.name if self._model else ""
        reply.n_ctx = self._model.n_ctx if self._model else None
        reply.progress = "Reading the prompt …"
        self._reply, self._sampled = reply, self.sampling
        self._thinking_since_s = None
        self.said_added.emit(reply.key)
        if self._keeper is not None:
            self._keeper.add(talk, reply)
        self._energy_of = None
        self._meter.begin()
        self._engine.send(ChatRequest(turns, self.sampling, self.when_full))

    def _on_cards(self) -> bool:
        return self._model is None or any(
            not use.device.startswith("CPU") for use in self._model.devices
        )

    def _changed(self, said: Said) -> None:
        if self._is_open(said):
            self.said_changed.emit(said.key)

    def _tell_used(self, said: Said, n_used: int) -> None:
        """Tell how full the context is, unless another conversation has been opened since."""
        if self._is_open(said):
            self.used_changed.emit(n_used)

    def _is_open(self, said: Said) -> bool:
        return self.talk.said.get(said.key) is said

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        if status.model is not None:  # one that is gone can still be loaded again
            self._model = status.model

    @Slot(object)
    def _take_prefill(self, progress: PrefillProgressed) -> None:
        reply = self._reply
        if reply is not None and not reply.text:
            cached = f" ({progress.n_cached} cached)" if progress.n_cached else ""
            reply.progress = (
                f"Reading the prompt: {progress.n_done} / {progress.n_prompt} tokens{cached}"
            )
            self._changed(reply)
            self._tell_used(reply, progress.n_prompt)

    @Slot(object)
    def _take_notice(self, event: TurnsDropped | ContextNearlyFull) -> None:
        if self._reply is None:
            return
        if isinstance(event, TurnsDropped):
            messages = "message was" if event.n_messages == 1 else "messages were"
            told = (
                f"The oldest {event.n_messages} {messages} left out of what the model reads, so "
                "that the rest fits."
            )
        else:
            told = f"The context is nearly full: {event.n_used} of {event.n_ctx} tokens."
            self._tell_used(self._reply, event.n_used)
        self._reply.notices.append(told)
        self._changed(self._reply)

    @Slot(object)
    def _take_text(self, piece: TextGenerated) -> None:
        reply = self._reply
        if reply is None:
            return
        if piece.reasoning:
            if self._thinking_since_s is None:
                self._thinking_since_s = time.monotonic()
            reply.reasoning += piece.text
        else:
            self._end_thinking(reply)
            reply.text += piece.text
        self._unkept[piece.reasoning] += piece.text
        if not self._keep_soon.isActive():
            self._keep_soon.start()
        reply.progress = f"{counted_tokens(piece.n_gen)} …"
        self._changed(reply)

    def _end_thinking(self, reply: Said) -> None:
        if self._thinking_since_s is not None and reply.thinking_s is None:
            reply.thinking_s = time.monotonic() - self._thinking_since_s

    @Slot(object)
    def _take_finish(self, stats: ReplyStats) -> None:
        settings = None if self._model is None else self._model.settings
        record = ReplyRecord(stats, settings, self._sampled)
        if self._reply is not None:
            self._tell_used(self._reply, stats.n_prompt + stats.n_gen)
        self._end(record, "")

    @Slot(str)
    def _take_failure(self, sentence: str) -> None:
        gone = self._engine.status.problem is not None
        self._end(None, CUT_OFF if gone else sentence)

    def _end(self, record: ReplyRecord | None, note: str) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        self._end_thinking(reply)
        reply.finished, reply.record, reply.note, reply.progress = True, record, note, ""
        self._keep_text(reply)
        if self._keeper is not None:
            self._keeper.finish(reply, record, note)
        if record is not None and not self._on_cards():
            reply.energy_missing = "No energy: the model does not run on the cards."
        elif record is not None:
            reply.energy_missing = "The cards are being read …"
            self._energy_of = reply
            self._meter.end()
        self._changed(reply)
        self.reply_ended.emit()

    @Slot(object, str)
    def _take_energy(self, energy: object, reason: str) -> None:
        reply, self._energy_of = self._energy_of, None
        if reply is None or reply.record is None:
            return
        assert isinstance(energy, tuple)  # noqa: S101 - that is what the meter tells
        reply.record = dataclasses.replace(reply.record, energy=energy)
        reply.energy_missing = reason
        if energy and self._keeper is not None:
            self._keeper.finish(reply, reply.record, reply.note)
        self._changed(reply)

    @Slot()
    def _keep_text(self, reply: Said | None = None) -> None:
        said = reply or self._reply
        text, reasoning = self._unkept
        self._keep_soon.stop()
        if said is not None and self._keeper is not None and (text or reasoning):
            self._keeper.append(said, text, reasoning)
        self._unkept = ["", ""]


def _used_by(talk: Talk) -> int:
    """Return how much of the context the last reply of the branch left in use."""
    for said in reversed(talk.path()):
        if said.record is not None:
            return said.record.stats.n_prompt + said.record.stats.n_gen
    return 0
