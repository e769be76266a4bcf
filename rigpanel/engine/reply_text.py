# SPDX-License-Identifier: MIT
"""From the bytes of tokens to the text a person is shown: whole characters, up to a stop string."""

import codecs

from rigpanel.engine.reasoning import ReasoningSplitter
from rigpanel.engine.stop_strings import StopStrings

Pieces = list[tuple[str, bool]]
"""Text, and whether it is reasoning."""


class ReplyText:
    """The text of one reply; its work per token does not grow with the reply."""

    def __init__(self, stops: tuple[str, ...], prompt: str = "") -> None:
        """`prompt` is the text the reply goes on from; its end may have begun the reasoning."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopStrings(stops)
        self._splitter = ReasoningSplitter(prompt)

    def feed(self, data: bytes) -> Pieces:
        """Take a token's bytes; returns what can be shown."""
        text = self._decoder.decode(data)
        if "\0" in text:  # No template takes one, and the conversation is to go on.
            text = text.replace("\0", "\ufffd")
        return self._splitter.feed(self._stops.feed(text))

    def flush(self) -> Pieces:
        """Return what is held back: the reply is at its end."""
        last = self._stops.feed(self._decoder.decode(b"", final=True)) + self._stops.flush()
        return self._splitter.feed(last) + self._splitter.flush()

    @property
    def ended(self) -> bool:
        """Whether a stop string has come."""
        return self._stops.found

    @property
    def thinking(self) -> bool:
        """Whether the model is reasoning now."""
        return self._splitter.thinking
