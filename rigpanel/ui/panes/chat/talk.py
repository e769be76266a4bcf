# SPDX-License-Identifier: MIT
"""The conversation that is open, as it stands in memory: what was said, branch by branch."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rigpanel.chat.conversation import Conversation, Message, ReplyRecord
from rigpanel.engine.messages import ChatMessage

LEFT_OPEN = "The reply ends here: rigpanel was ended while it came."


@dataclass(slots=True)
class Said:
    """One message as the window shows it; a reply grows while it streams."""

    key: int
    """Its name in memory; the file has another for it."""
    parent: int | None
    role: str
    text: str = ""
    reasoning: str = ""
    model: str = ""
    finished: bool = True
    note: str = ""
    """Why it ended short, a sentence."""
    record: ReplyRecord | None = None
    stored: int | None = None
    """Its id in the file, once it is there."""
    progress: str = ""
    """What a reply is at while it streams."""
    notices: list[str] = field(default_factory=list)
    """What was told about the context while it came."""
    n_ctx: int | None = None
    thinking_s: float | None = None
    thoughts_open: bool = False
    energy_missing: str = ""
    """Why there is no energy, in words."""


class Talk:
    """A tree of messages and the branch that is shown."""

    def __init__(self, system: str = "") -> None:
        self.system = system
        self.title = ""
        self.stored: int | None = None
        """Its id in the file, once it is there."""
        self.root: int | None = None
        """Id of the system message in the file."""
        self.said: dict[int, Said] = {}
        self.leaf: int | None = None
        self._below: dict[int | None, list[int]] = {}

    @classmethod
    def of(cls, conversation: Conversation) -> "Talk":
        """Return a stored conversation, to be gone on with."""
        talk = cls()
        talk.title = conversation.info.title
        talk.stored = conversation.info.id
        talk.root = root_of(conversation)
        if talk.root is not None:
            talk.system = conversation.messages[talk.root].text
        for message in conversation.messages.values():
            if message.role != "system":
                talk._take(message)
        talk.leaf = conversation.leaf if conversation.leaf in talk.said else None
        return talk

    def add(self, parent: int | None, role: str, text: str, *, finished: bool = True) -> Said:
        """Add a message below another and show its branch."""
        said = Said(max(self.said, default=0) + 1, parent, role, text, finished=finished)
        self._put(said)
        self.leaf = said.key
        return said

    def path(self) -> list[Said]:
        """Return the branch that is shown, oldest first."""
        return list(self._up_from(self.leaf))[::-1]

    def siblings(self, key: int) -> list[int]:
        """Return the branches that begin where `key` does, it among them."""
        return self._below[self.said[key].parent]

    def leaf_below(self, key: int) -> int:
        """Return the end of the newest branch through `key`."""
        while below := self._below.get(key):
            key = below[-1]
        return key

    def turns(self, leaf: int | None) -> tuple[ChatMessage, ...]:
        """Return what the model is to read up to `leaf`, without questions never answered."""
        turns = [ChatMessage("system", self.system)] if self.system else []
        path = list(self._up_from(leaf))[::-1]
        for place, said in enumerate(path):
            answer = path[place + 1] if place + 1 < len(path) else None
            unanswered = said.role == "user" and answer is not None and not answer.text
            if said.text and not unanswered:
                turns.append(ChatMessage(said.role, said.text))
        return tuple(turns)

    def _up_from(self, key: int | None) -> Iterator[Said]:
        while key is not None:
            yield self.said[key]
            key = self.said[key].parent

    def _put(self, said: Said) -> None:
        self.said[said.key] = said
        self._below.setdefault(said.parent, []).append(said.key)

    def _take(self, message: Message) -> None:
        cut = not message.finished
        settings = message.record.settings if message.record else None
        self._put(
            Said(
                key=message.id,
                parent=message.parent if message.parent in self.said else None,
                role=message.role,
                text=message.text,
                reasoning=message.reasoning,
                model=message.model,
                note=LEFT_OPEN if cut else message.note,
                record=message.record,
                stored=message.id,
                n_ctx=settings.n_ctx if settings else None,
            )
        )


def root_of(conversation: Conversation) -> int | None:
    """Return the id of the system message of the branch shown, if it begins with one."""
    path = conversation.path()
    return path[0].id if path and path[0].role == "system" else None
