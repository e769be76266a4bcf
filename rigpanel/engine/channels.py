# SPDX-License-Identifier: MIT
"""Tells thoughts from answers by the channels of gpt-oss (OpenAI's harmony response format)."""

from rigpanel.engine.stop_strings import may_begin

CHANNEL, MESSAGE = "<|channel|>", "<|message|>"
THINKING = f"{CHANNEL}analysis{MESSAGE}"
"""Head of a message that is reasoning."""
_HEADS = (THINKING, f"{CHANNEL}final{MESSAGE}", f"{CHANNEL}commentary{MESSAGE}")
_ENDS = ("<|end|>", "<|start|>", CHANNEL)
"""A message ends before each of these; what follows is the head of the next."""
LONGEST_HEAD = 200
"""Characters: what goes on longer without a message is no head but text."""


class ChannelSplitter:
    """Fed with a reply from its first head on; gives back pieces marked as reasoning or answer.

    A reply is messages, each with a head before it: `<|channel|>analysis<|message|>` thoughts
    `<|end|><|start|>assistant<|channel|>final<|message|>` answer. Only the channel `analysis` is
    reasoning. Heads are part of neither.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        """`thinking` says that the prompt's end was the head of a message of reasoning."""
        self.thinking = thinking
        """Whether the message under way, or the one before this head, is reasoning."""
        self._in_head = not thinking
        self._begins = True
        """Whether the message under way has no text yet."""
        self._seen: set[bool] = set()
        """Whether there was reasoning, and whether there was an answer."""
        self._held = ""

    def feed(self, piece: str) -> list[tuple[str, bool]]:
        """Take the next piece and return what it completes, each with whether it is reasoning."""
        text, self._held = self._held + piece, ""
        found: list[tuple[str, bool]] = []
        while text:
            if self._in_head:
                head, ended, rest = text.partition(MESSAGE)
                if not ended and len(head) <= LONGEST_HEAD:
                    self._held = text
                    break
                self._in_head, self._begins = False, True
                self.thinking = bool(ended) and f"{CHANNEL}analysis" in head
                if not ended:  # Its marks are no marks: it would never get past them.
                    found += self._shown(text)
                    break
                text = rest
            else:
                ends = [at for mark in _ENDS if (at := text.find(mark)) >= 0]
                end = min(ends, default=len(text) - may_begin(text, _ENDS))
                found += self._shown(text[:end])
                self._in_head = bool(ends)
                text = text[end:]
                if not ends:
                    self._held = text
                    break
        return found

    def _shown(self, text: str) -> list[tuple[str, bool]]:
        if self._begins:
            text = text.lstrip()
        if not text:
            return []
        if self._begins and self.thinking in self._seen:
            text = "\n\n" + text
        self._begins = False
        self._seen.add(self.thinking)
        return [(text, self.thinking)]

    def flush(self) -> list[tuple[str, bool]]:
        """Return what is held back, the reply being at its end; a head begun is no text."""
        held, self._held = self._held, ""
        a_head = bool(self._seen) or any(head.startswith(held) for head in _HEADS)
        if self._in_head and a_head:
            return []
        return self._shown(held)
