# SPDX-License-Identifier: MIT
"""A model's vocabulary: text to tokens, tokens to bytes, and which of them end a reply."""

import ctypes
from typing import Any

import llama_cpp

from rigpanel.engine.checks import VOCAB_SLACK
from rigpanel.engine.messages import EngineError
from rigpanel.engine.reasoning import CONTROL_TAGS

LONGEST_PIECE = 4096


class Vocabulary:
    """What llama.cpp is asked of a token once is kept: a reply asks it of every token."""

    def __init__(self, model: Any) -> None:
        self.handle: Any = llama_cpp.llama_model_get_vocab(model)
        self.n_tokens = int(llama_cpp.llama_vocab_n_tokens(self.handle))
        self.bos = int(llama_cpp.llama_vocab_bos(self.handle))
        self.eos = int(llama_cpp.llama_vocab_eos(self.handle))
        self._buffer = ctypes.create_string_buffer(LONGEST_PIECE)
        self._shown: dict[int, bytes | None] = {}
        self._rendered: dict[int, bytes] = {}

    def text_of(self, token: int) -> str:
        """Return a token as the file has it; "" where there is no such token."""
        if not 0 <= token < self.n_tokens:
            return ""
        found = llama_cpp.llama_vocab_get_text(self.handle, token) or b""
        return found.decode("utf-8", "replace")

    def shown(self, token: int) -> bytes | None:
        """Return what a token adds to a reply's text; None for one that ends the reply.

        Control tokens add nothing, but for the tags of reasoning, which some files have as such.
        """
        try:
            return self._shown[token]
        except KeyError:
            pass
        ends = llama_cpp.llama_vocab_is_eog(self.handle, token)
        data = self._shown[token] = None if ends else self._written(token)
        return data

    def written(self, token: int) -> bytes:
        """Return what a token adds to a text, also if it commonly ends it."""
        data = self.shown(token)
        return self._written(token) if data is None else data

    def _written(self, token: int) -> bytes:
        rendered = self.rendered(token)
        return rendered if rendered in CONTROL_TAGS else self._piece(token, special=False)

    def rendered(self, token: int) -> bytes:
        """Return a token's bytes as a prompt has them, control tokens written out."""
        try:
            return self._rendered[token]
        except KeyError:
            data = self._rendered[token] = self._piece(token, special=True)
            return data

    def ends(self) -> list[int]:
        """Return every token that ends a reply."""
        is_end = llama_cpp.llama_vocab_is_eog
        return [token for token in range(self.n_tokens) if is_end(self.handle, token)]

    def tokenize(self, text: str, *, whole: bool = True) -> list[int]:
        """Return the tokens of a prompt, or of a part of one (`whole` False: nothing is added)."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.handle, data, len(data), tokens, room, whole, True)
        if count < 0:
            raise EngineError("The conversation could not be turned into tokens.")
        found: list[int] = tokens[:count]
        if whole and found[:2] == [self.bos, self.bos]:
            del found[0]  # The template wrote it too.
        return found

    def differs_from(self, other: "Vocabulary") -> str | None:
        """Say in what this vocabulary is not the other one; None when tokens mean the same."""
        if llama_cpp.llama_vocab_type(self.handle) != llama_cpp.llama_vocab_type(other.handle):
            return "another kind of tokenizer"
        if abs(self.n_tokens - other.n_tokens) > VOCAB_SLACK:
            return f"{self.n_tokens} tokens in place of {other.n_tokens}"
        if (self.bos, self.eos) != (other.bos, other.eos):
            return "other tokens for begin and end"
        text = llama_cpp.llama_vocab_get_text
        for token in range(min(self.n_tokens, other.n_tokens)):
            if text(self.handle, token) != text(other.handle, token):
                return f"token {token} is {self.text_of(token)!r} and not {other.text_of(token)!r}"
        return None

    def _piece(self, token: int, *, special: bool) -> bytes:
        buffer = self._buffer
        size = llama_cpp.llama_token_to_piece(self.handle, token, buffer, len(buffer), 0, special)
        return buffer.raw[:size] if size > 0 else b""
