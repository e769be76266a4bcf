# SPDX-License-Identifier: MIT
"""From a conversation to the text a model reads: its file's own template, or a chosen one."""

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.messages import ChatMessage, EngineError
from rigpanel.engine.templates import TEMPLATES, USUAL_TEMPLATES
from rigpanel.library.gguf_header import GgufHeader

FILE = "file"
LONGEST_S = 20.0
"""A template that is not done by then never will be."""

Format = Callable[[tuple[ChatMessage, ...]], str]


class TemplateStoppedError(BaseException):
    """A template was cut short; no `Exception`, so that nothing in a template catches it."""


def open_template(header: GgufHeader, chosen: str, vocabulary: Vocabulary) -> tuple[str, Format]:
    """Return the name of the template in use and what applies it; the name is "" for none.

    Raises EngineError when none is chosen and the file's own is broken.
    """
    if chosen:
        return chosen, _built_in(chosen)
    if not header.chat_template:
        return "", _refuse
    return FILE, _of_the_file(header.chat_template, header.path.name, vocabulary)


def check_template(chosen: str) -> None:
    """Raise EngineError for a choice that llama.cpp does not have; "" is none."""
    if chosen and chosen not in TEMPLATES:
        raise EngineError(
            f"Chat template {chosen!r}: llama.cpp has none of that name. It has "
            f"{', '.join(TEMPLATES)}."
        )


def _refuse(_messages: tuple[ChatMessage, ...]) -> str:
    raise EngineError(
        "This model's file has no chat template, so how it wants a conversation written is not "
        f"known. Choose one in the load settings, for example {', '.join(USUAL_TEMPLATES)}: the "
        "model's page says which it was trained with."
    )


def _built_in(name: str) -> Format:
    def apply(messages: tuple[ChatMessage, ...]) -> str:
        chat = (llama_cpp.llama_chat_message * len(messages))()
        for slot, message in zip(chat, messages, strict=True):
            slot.role, slot.content = message.role.encode(), message.content.encode()
        room = 1024
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = llama_cpp.llama_chat_apply_template(
                name.encode(), chat, len(chat), True, buffer, room
            )
            if size < 0:
                raise EngineError(f"llama.cpp could not apply the chat template {name}.")
            if size <= room:
                return buffer.raw[:size].decode("utf-8", "replace")
            room = size

    return apply


def _of_the_file(template: str, name: str, vocabulary: Vocabulary) -> Format:
    try:
        formatter = Jinja2ChatFormatter(
            template=template,
            eos_token=vocabulary.text_of(vocabulary.eos),
            bos_token=vocabulary.text_of(vocabulary.bos),
        )
    except Exception as error:  # a template is a program from a file
        raise EngineError(
            f"The chat template in {name} cannot be read ({error}). Choose one of "
            f"llama.cpp's in the load settings, for example {', '.join(USUAL_TEMPLATES)}."
        ) from error

    def apply(messages: tuple[ChatMessage, ...]) -> str:
        listed: Any = [{"role": m.role, "content": m.content} for m in messages]
        try:
            return formatter(messages=listed).prompt
        except Exception as error:  # a template is a program from a file
            helps = (
                "Without the system prompt it may take it."
                if messages[0].role == "system"
                else "In a new chat, or with another template, it may take it."
            )
            raise EngineError(
                f"The model's chat template refuses this conversation: {error}. {helps}"
            ) from error

    return apply


@contextmanager
def stoppable(cancelled: Callable[[], bool]) -> Iterator[None]:
    """Let what runs in here be stopped between any two lines, as a template may never end.

    Raises TemplateStoppedError in there once `cancelled`, or after LONGEST_S; the caller tells
    which it was. What Python itself takes long over in one step is not cut short.
    """
    end = time.monotonic() + LONGEST_S

    def watch(_frame: FrameType, _event: str, _argument: object) -> Any:
        if cancelled() or time.monotonic() > end:
            raise TemplateStoppedError
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
