# SPDX-License-Identifier: MIT
"""Tells what a model thinks (`<think>…</think>`) from what it answers, while the text streams."""

OPEN, CLOSE = "<think>", "</think>"


def is_opened_by(prompt: str) -> bool:
    """Whether the prompt itself, as templates of reasoning models do, begins the thinking."""
    return prompt.rstrip().endswith(OPEN)


class ReasoningSplitter:
    """Fed with pieces of a reply; gives back pieces marked as reasoning or answer.

    Thinking begins at the very start of a reply or not at all: a tag in the midst of an answer is
    something the answer is about. Tags, and the white space around them, are part of neither.
    """

    def __init__(self, opened: bool = False) -> None:
        self.thinking = opened
        """Whether the text so far ends within the reasoning."""
        self._at_start = not opened
        """Whether it is still open if the reply begins with thinking."""
        self._skipping = opened
        """Whether white space is passed over, because it stands at a tag."""
        self._held = ""

    def feed(self, piece: str) -> list[tuple[str, bool]]:
        """Take the next piece and return what it completes, each with whether it is reasoning."""
        if not (self.thinking or self._at_start or self._skipping):
            return [(piece, False)] if piece else []
        text = self._held + piece
        self._held = ""
        if self._at_start:
            stripped = text.lstrip()
            if len(stripped) < len(OPEN) and OPEN.startswith(stripped):
                self._held = text
                return []
            self._at_start = False
            if not stripped.startswith(OPEN):
                return [(text, False)]
            self.thinking = self._skipping = True
            text = stripped[len(OPEN) :]
        return self._split(text)

    def _split(self, text: str) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        if self.thinking:
            thought, closed, text = text.partition(CLOSE)
            if not closed:
                keep = len(thought) - _tail_to_hold(thought)
                thought, self._held = thought[:keep], thought[keep:]
            else:
                thought = thought.rstrip()
            found = self._shown(thought, reasoning=True)
            if not closed:
                return found
            self.thinking, self._skipping = False, True
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
        held, self._held = self._held, ""
        self._at_start = False
        return self._shown(held, reasoning=self.thinking)


def _tail_to_hold(text: str) -> int:
    """Return how much of the end may yet belong to the closing tag, white space before it too."""
    for length in range(min(len(CLOSE) - 1, len(text)), -1, -1):
        if length == 0 or text.endswith(CLOSE[:length]):
            before = text[: len(text) - length]
            return length + len(before) - len(before.rstrip())
    return 0
