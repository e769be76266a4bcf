# SPDX-License-Identifier: MIT
"""A conversation as a tree of messages: editing and regenerating begin a branch beside the old."""

from collections.abc import Mapping
from dataclasses import dataclass

from rigpanel.engine.messages import ReplyStats, Sampling
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.rig.energy import CardEnergy, total_j
from rigpanel.rig.readings import Missing, Reading

ROLES = ("system", "user", "assistant")
TITLE_CHARS = 60


class ConversationError(RigpanelError):
    """A conversation is not there or cannot be read; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """How a reply came about and what it took; kept with its message."""

    stats: ReplyStats
    settings: LoadSettings | None
    """How the model was loaded."""
    sampling: Sampling
    energy: tuple[CardEnergy, ...] = ()

    @property
    def energy_j(self) -> Reading[float]:
        """Joules over the reply; Missing unless every card tells."""
        return total_j(self.energy)

    @property
    def j_per_token(self) -> Reading[float]:
        """Joules a generated token; Missing unless every card tells and there is a token."""
        energy_j = self.energy_j
        if isinstance(energy_j, Missing):
            return energy_j
        return energy_j / self.stats.n_gen if self.stats.n_gen else Missing.NOT_SUPPORTED


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the tree; later ones have the higher `id`."""

    id: int
    parent: int | None
    """The message it answers; None begins a conversation."""
    role: str
    """One of `ROLES`."""
    text: str
    reasoning: str
    """What the model thought before it answered."""
    model: str
    created_s: float
    """Seconds since the epoch."""
    finished: bool
    """False while it streams, and for good where the panel ended before it did."""
    note: str
    """Why it ended short, a sentence; empty where it did not."""
    record: ReplyRecord | None


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A conversation as a list shows it."""

    id: int
    title: str
    """Empty until the first message of a person gives it one."""
    created_s: float
    updated_s: float
    n_messages: int
    """Over all branches."""
    model: str
    """The model of the newest reply; empty before the first."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation with every message of every branch; `leaf` ends the branch shown."""

    info: ConversationInfo
    messages: Mapping[int, Message]
    """By id, oldest first."""
    leaf: int | None

    def path(self) -> tuple[Message, ...]:
        """Return the branch shown, from its root to `leaf`."""
        found = []
        at = self.leaf
        while at is not None:
            found.append(self.messages[at])
            at = self.messages[at].parent
        return tuple(reversed(found))

    def siblings(self, message: int) -> tuple[int, ...]:
        """Return the branches that begin where `message` does, it among them, oldest first."""
        parent = self.messages[message].parent
        return tuple(m.id for m in self.messages.values() if m.parent == parent)

    def leaf_below(self, message: int) -> int:
        """Return the end of the newest branch that passes through `message`."""
        answers: dict[int | None, list[int]] = {}
        for other in self.messages.values():
            answers.setdefault(other.parent, []).append(other.id)
        ends, open_ends = [], [message]
        while open_ends:
            at = open_ends.pop()
            below = answers.get(at)
            if below is None:
                ends.append(at)
            else:
                open_ends += below
        return max(ends)


def title_from(text: str) -> str:
    """Return a title for a conversation that begins with `text`: its first line, cut at a word."""
    lines = (" ".join(line.split()).lstrip("#>*- ") for line in text.splitlines())
    line = next((line for line in lines if any(c.isalnum() for c in line)), "")
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[:TITLE_CHARS].rpartition(" ")[0].rstrip(" ,;:.-") or line[: TITLE_CHARS - 1]
    return cut + "…"
