# SPDX-License-Identifier: MIT
"""Tells what a model thinks (`<think>…</think>`) from what it answers, while the text streams."""

from dataclasses import dataclass

from rigpanel.engine.channels import CHANNEL, THINKING, ChannelSplitter
from rigpanel.engine.stop_strings import may_begin


@dataclass(frozen=True, slots=True)
class ReasoningTags:
    """What a family of models writes before its thoughts and after them."""

    begin: str
    end: str


TAGS = (
    ReasoningTags("<think>", "</think>"),  # DeepSeek-R1, Qwen3, GLM-4.5 and most others
    ReasoningTags("[THINK]", "[/THINK]"),  # Magistral
    ReasoningTags("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning, Command R7B
    ReasoningTags("<seed:think>", "</seed:think>"),  # Seed-OSS
    ReasoningTags("<|channel>thought", "<channel|>"),  # Gemma 4
)
"""As the models' own chat templates write them; gpt-oss has channels instead."""
CONTROL_TAGS = {tag.encode() for tags in TAGS for tag in (tags.begin, tags.end)} | {b"<|channel>"}
"""Tokens that are to be seen though some files have them as control tokens; of Gemma's tag that is
the first half. Channels' marks need none of this: llama.cpp has them in the text always."""
_BEGINS = (*(tags.begin for tags in TAGS), CHANNEL)


class ReasoningSplitter:
    """Fed with pieces of a reply; gives back pieces marked as reasoning or answer.

    Thinking begins at the very start of a reply or not at all: a tag in the midst of an answer is
    something the answer is about. Tags, and the white space around them, are part of neither.
    """

    def __init__(self, prompt: str = "") -> None:
        """`prompt` stands before the reply; some templates begin the thinking at its end."""
        end = prompt.rstrip()
        self._tags = next((tags for tags in TAGS if end.endswith(tags.begin)), None)
        self._channels = ChannelSplitter(thinking=True) if end.endswith(THINKING) else None
        self._thinking = self._skipping = self._tags is not None
        """Whether the text so far ends within the tags; whether white space is passed over."""
        self._at_start = self._tags is None
        """Whether it is still open if the reply begins with thinking."""
        self._held = ""

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends within the reasoning."""
        return self._thinking if self._channels is None else self._channels.thinking

    def feed(self, piece: str) -> list[tuple[str, bool]]:
        """Take the next piece and return what it completes, each with whether it is reasoning."""
        if self._channels is not None:
            return self._channels.feed(piece)
        if not (self._thinking or self._at_start or self._skipping):
            return [(piece, False)] if piece else []
        text = self._held + piece
        self._held = ""
        return self._begin(text) if self._at_start else self._split(text)

    def _begin(self, text: str) -> list[tuple[str, bool]]:
        """Take what has come from the start on, and see whether it begins with thinking."""
        stripped = text.lstrip()
        if any(len(stripped) < len(begin) and begin.startswith(stripped) for begin in _BEGINS):
            self._held = text
            return []
        self._at_start = False
        if stripped.startswith(CHANNEL):
            self._channels = ChannelSplitter()
            return self._channels.feed(stripped)
        self._tags = next((tags for tags in TAGS if stripped.startswith(tags.begin)), None)
        if self._tags is None:
            return [(text, False)]
        self._thinking = self._skipping = True
        return self._split(stripped[len(self._tags.begin) :])

    def _split(self, text: str) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        if self._thinking and self._tags is not None:
            thought, closed, text = text.partition(self._tags.end)
            if not closed:
                keep = len(thought) - _tail_to_hold(thought, self._tags.end)
                thought, self._held = thought[:keep], thought[keep:]
                return self._shown(thought, reasoning=True)
            found = self._shown(thought.rstrip(), reasoning=True)
            self._thinking, self._skipping = False, True
        return found + self._shown(text, reasoning=False)

    def _shown(self, text: str, *, reasoning: bool) -> list[tuple[str, bool]]:
        if self._skipping:
            text = text.lstrip()
        if not text:
            return []
        self._skipping = False
        return [(text, reasoning)]

    def flush(self) -> list[tuple[str, bool]]:
        """Return what is held back, the reply being at its end."""
        if self._channels is not None:
            return self._channels.flush()
        held, self._held = self._held, ""
        self._at_start = False
        return self._shown(held, reasoning=self._thinking)


def _tail_to_hold(text: str, end: str) -> int:
    """Return how much at its end may yet belong to the tag `end`, white space before it too."""
    length = may_begin(text, (end,))
    before = text[: len(text) - length]
    return length + len(before) - len(before.rstrip())
