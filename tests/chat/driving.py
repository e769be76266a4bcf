# SPDX-License-Identifier: MIT
"""What the chat's tests ask of a store, waited for."""

import json
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from rigpanel.chat import transfer
from rigpanel.chat.conversation import Conversation, ConversationInfo, Message, ReplyRecord
from rigpanel.chat.store import ConversationStore
from rigpanel.engine.messages import FinishReason, ReplyStats, Sampling, TokenBias
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.rig.energy import CardEnergy
from rigpanel.rig.readings import Missing

LIMIT_S = 30.0

RECORD = ReplyRecord(
    ReplyStats(FinishReason.STOP, 28, 12, 40, 0.41, 350.2, 17.1, 0.4, 2.3, n_reasoning=7),
    LoadSettings(Path("/models/a.gguf"), n_ctx=8192, split_mode=SplitMode.ROW),
    Sampling(seed=3, stop=("###",), logit_bias=(TokenBias("x", float("-inf")),)),
    (CardEnergy("GPU-a", "GPU 0 · RTX 3090", 812.0), CardEnergy("GPU-b", "GPU 1", 188.0)),
)
BLIND = (*RECORD.energy[:1], CardEnergy("GPU-b", "GPU 1", Missing.NOT_SUPPORTED))


class Clock:
    """Seconds since the epoch, as told."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def begun(store: ConversationStore, *texts: str, title: str = "", system: str = "") -> Conversation:
    """A conversation with a person's and a model's messages by turns."""
    conversation = store.create(title, system).result(LIMIT_S)
    parent = conversation.leaf
    for turn, text in enumerate(texts):
        role, model = (("user", ""), ("assistant", "Llama 8B"))[turn % 2]
        added = store.add(conversation.info.id, parent, role, text, model=model)
        parent = added.result(LIMIT_S).id
    return opened(store, conversation.info.id)


def opened(store: ConversationStore, conversation: int) -> Conversation:
    return store.open(conversation).result(LIMIT_S)


def titles(store: ConversationStore, search: str = "") -> list[str]:
    return [info.title for info in store.list(search).result(LIMIT_S)]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


def exported(**changes: object) -> dict[str, object]:
    """One message as an export has it."""
    return {
        "id": 1,
        "parent": None,
        "role": "user",
        "text": "Hello.",
        "reasoning": "",
        "model": "",
        "created_s": 1.5e9,
        "finished": True,
        "note": "",
        "record": None,
    } | changes


def export(*messages: object, **changes: object) -> str:
    """An export with these messages, the last one shown."""
    whole = {
        "format": transfer.FORMAT,
        "version": transfer.VERSION,
        "title": "Imported",
        "created_s": 1.4e9,
        "updated_s": 1.5e9,
        "leaf": None,
        "messages": messages,
    }
    return json.dumps(whole | changes)


def chain(length: int) -> str:
    """An export of messages that each answer the one before."""
    return export(
        *(
            exported(id=n, parent=n - 1 or None, role=("assistant", "user")[n % 2], text=f"no. {n}")
            for n in range(1, length + 1)
        )
    )


def tree(parents: list[int | None], leaf: int | None = None) -> Conversation:
    messages = {
        n: Message(n, parent, "user", str(n), "", "", 0.0, True, "", None)
        for n, parent in enumerate(parents)
    }
    return Conversation(ConversationInfo(1, "", 0.0, 0.0, len(messages), ""), messages, leaf)


@st.composite
def trees(draw: st.DrawFn) -> Conversation:
    parents = [
        None,
        *(draw(st.none() | st.integers(0, n)) for n in range(draw(st.integers(0, 29)))),
    ]
    return tree(parents, draw(st.integers(0, len(parents) - 1)))
