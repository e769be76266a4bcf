# SPDX-License-Identifier: MIT
"""Conversations on their way out (Markdown, JSON) and in (JSON that may come from anywhere)."""

import heapq
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from rigpanel.chat.conversation import (
    ROLES,
    Conversation,
    ConversationError,
    ConversationInfo,
    Message,
    ReplyRecord,
)
from rigpanel.codec import from_plain, to_plain
from rigpanel.storage import storable

T = TypeVar("T")

FORMAT = "rigpanel.conversation"
VERSION = 1
IMPORT_CHARS = 32 * 2**20
"""The longest text that is read; a conversation of 2000 long messages has some four million."""
COUNT_DIGITS = 18
"""No more, so that every count can be divided and drawn."""
LAST_TIME_S = datetime(9000, 1, 1, tzinfo=UTC).timestamp()

_SPEAKERS = {"system": "System", "user": "You", "assistant": "Assistant"}


def to_markdown(conversation: Conversation) -> str:
    """Return the branch shown, for people to read."""
    info = conversation.info
    day = datetime.fromtimestamp(info.created_s, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    parts = [f"# {info.title or 'Conversation'}", day]
    for message in conversation.path():
        model = f" ({message.model})" if message.model else ""
        parts.append(f"## {_SPEAKERS.get(message.role, message.role)}{model}")
        if message.reasoning.strip():
            thought = message.reasoning.strip().splitlines()
            title = f"> *Thought{_counted(message.record)}:*"
            parts.append("\n".join([title, ">", *(f"> {line}" for line in thought)]))
        if message.text.strip():
            parts.append(message.text.strip("\n"))
        note = message.note or ("" if message.finished else "Cut off here.")
        if note:
            parts.append(f"*{note}*")
    return "\n\n".join(parts) + "\n"


def _counted(record: ReplyRecord | None) -> str:
    if record is None or not record.stats.n_reasoning:
        return ""
    return f" ({record.stats.n_reasoning} of {record.stats.n_gen} tokens)"


def to_json(conversation: Conversation) -> str:
    """Return every branch with all that is known of it; `from_json` reads it."""
    info = conversation.info
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "title": info.title,
        "created_s": info.created_s,
        "updated_s": info.updated_s,
        "leaf": conversation.leaf,
        "messages": [to_plain(message) for message in conversation.messages.values()],
    }
    text = json.dumps(whole, ensure_ascii=False, indent=1) + "\n"
    # A path that is not UTF-8 has halves of surrogate pairs, which no file can hold but escaped.
    return text.encode("utf-8", "backslashreplace").decode()


def from_json(text: str) -> Conversation:
    """Read what `to_json` wrote: ids count from 1, each parent before its answers.

    Raises ConversationError, with the message at fault, for anything else.
    """
    if len(text) > IMPORT_CHARS:
        raise ConversationError(
            f"The file is too long to be a conversation ({len(text) / 2**20:.1f} million letters, "
            f"at most {IMPORT_CHARS // 2**20}), so nothing was imported."
        )
    try:
        whole = json.loads(text, parse_int=_count)
    except (ValueError, RecursionError) as error:
        raise ConversationError(
            "The file is not JSON, so nothing was imported. Choose one exported by rigpanel."
        ) from error
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ConversationError(
            "The file is not a conversation exported by rigpanel, so nothing was imported."
        )
    version = _field(whole, "version", int, "The file")
    if version > VERSION:
        raise ConversationError(
            f"The file was exported by a newer rigpanel (format {version}, this one reads "
            f"{VERSION}), so nothing was imported. Update rigpanel and import it again."
        )
    read = [
        _message(plain, f"Message {number}")
        for number, plain in enumerate(_field(whole, "messages", list, "The file"), 1)
    ]
    new_ids = _parents_first(read)
    messages = {
        new_ids[old.id]: replace(
            old, id=new_ids[old.id], parent=None if old.parent is None else new_ids[old.parent]
        )
        for old in sorted(read, key=lambda message: new_ids[message.id])
    }
    leaf = whole.get("leaf")
    if leaf is not None and (not isinstance(leaf, int) or leaf not in new_ids):
        raise ConversationError(_refusal("The file", "`leaf` names a message that is not in it"))
    title = storable(_field(whole, "title", str, "The file"))
    created_s = _time(whole, "The file")
    return Conversation(
        ConversationInfo(0, title, created_s, created_s, len(messages), ""),
        messages,
        max(messages, default=None) if leaf is None else new_ids[leaf],
    )


def _count(digits: str) -> int:
    if len(digits) > COUNT_DIGITS:
        raise ConversationError(_refusal("The file", f"no count is {digits[:30]}…"))
    return int(digits)


def _message(plain: Any, where: str) -> Message:
    if not isinstance(plain, dict):
        raise ConversationError(_refusal(where, "it is not an object"))
    role = _field(plain, "role", str, where)
    if role not in ROLES:
        raise ConversationError(_refusal(where, f"its role is {role[:40]!r}, none of {ROLES}"))
    parent = plain.get("parent")
    if parent is not None and type(parent) is not int:
        raise ConversationError(_refusal(where, "`parent` must be an int or null"))
    return Message(
        id=_field(plain, "id", int, where),
        parent=parent,
        role=role,
        text=storable(_field(plain, "text", str, where)),
        reasoning=storable(_field(plain, "reasoning", str, where)),
        model=storable(_field(plain, "model", str, where)),
        created_s=_time(plain, where),
        finished=_field(plain, "finished", bool, where),
        note=storable(_field(plain, "note", str, where)),
        record=_record(plain.get("record"), where),
    )


def _record(plain: Any, where: str) -> ReplyRecord | None:
    if plain is None:
        return None
    try:
        return from_plain(ReplyRecord, plain)
    except (ValueError, RecursionError) as error:
        raise ConversationError(_refusal(where, "its `record` is not one of a reply")) from error


def _parents_first(messages: list[Message]) -> dict[int, int]:
    """Return a new id for each, from 1 on in their order, but none before its parent's."""
    places = {message.id: place for place, message in enumerate(messages)}
    if len(places) < len(messages):
        raise ConversationError(_refusal("The file", "two messages have the same id"))
    answers: dict[int | None, list[int]] = {}
    for place, message in enumerate(messages):
        if message.parent is not None and message.parent not in places:
            problem = f"its parent {message.parent} is not in the file"
            raise ConversationError(_refusal(f"Message {place + 1}", problem))
        answers.setdefault(message.parent, []).append(place)
    new_ids: dict[int, int] = {}
    ready = list(answers.get(None, ()))
    while ready:
        message = messages[heapq.heappop(ready)]
        new_ids[message.id] = len(new_ids) + 1
        for place in answers.get(message.id, ()):
            heapq.heappush(ready, place)
    if len(new_ids) < len(messages):
        raise ConversationError(_refusal("The file", "some messages answer each other in a circle"))
    return new_ids


def _field(plain: dict[str, Any], name: str, kind: type[T], where: str) -> T:
    value = plain.get(name)
    if type(value) is not kind:
        raise ConversationError(_refusal(where, f"`{name}` must be of type {kind.__name__}"))
    return value


def _time(plain: dict[str, Any], where: str) -> float:
    value = plain.get("created_s")
    if isinstance(value, (int, float)) and 0 <= value < LAST_TIME_S:
        return float(value)
    raise ConversationError(_refusal(where, "`created_s` must be seconds since 1970"))


def _refusal(where: str, problem: str) -> str:
    return f"{where} cannot be imported: {problem}. Nothing was imported."
