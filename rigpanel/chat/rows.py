# SPDX-License-Identifier: MIT
"""Conversations and messages as rows of the file; called within a transaction."""

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rigpanel.chat import records
from rigpanel.chat.conversation import (
    Conversation,
    ConversationError,
    ConversationInfo,
    Message,
    ReplyRecord,
)
from rigpanel.storage import storable

LONGEST_TITLE = 200
"""No title is longer, wherever it came from."""
INFO = """SELECT c.id, c.title, c.created_s, c.updated_s,
    (SELECT count(*) FROM message m WHERE m.conversation = c.id),
    coalesce((SELECT m.model FROM message m WHERE m.conversation = c.id AND m.model <> ''
        ORDER BY m.id DESC LIMIT 1), '')
    FROM conversation c"""
_SELECT = """SELECT id, parent, role, text, reasoning, model, created_s, finished, note,
    stats, settings, sampling, energy FROM message """
_INSERT = """INSERT INTO message (conversation, id, parent, role, text, reasoning, model, created_s,
    finished, note, stats, settings, sampling, energy)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def read_info(db: sqlite3.Connection, conversation: int) -> ConversationInfo:
    """Return one conversation as a list shows it; raises ConversationError if it is not there."""
    row = db.execute(f"{INFO} WHERE c.id = ? AND c.deleted_s IS NULL", (conversation,)).fetchone()
    if row is None:
        raise _gone(conversation)
    return ConversationInfo(*row)


def read_conversation(db: sqlite3.Connection, conversation: int) -> Conversation:
    """Return it with all its messages, in as many queries however many they are."""
    info = read_info(db, conversation)
    pieces = _pieces(
        db.execute(
            "SELECT p.message, p.text, p.reasoning FROM message m JOIN piece p ON p.message = m.id "
            "WHERE m.conversation = ? ORDER BY p.id",
            (conversation,),
        )
    )
    rows = db.execute(_SELECT + "WHERE conversation = ? ORDER BY id", (conversation,))
    messages = {row[0]: _message(row, pieces) for row in rows}
    (leaf,) = db.execute("SELECT leaf FROM conversation WHERE id = ?", (conversation,)).fetchone()
    return Conversation(info, messages, leaf)


def read_message(db: sqlite3.Connection, message: int) -> Message:
    """Return one message; raises ConversationError if it is not there."""
    row = db.execute(_SELECT + "WHERE id = ?", (message,)).fetchone()
    if row is None:
        raise ConversationError(f"Message {message} is not there any more. Open its chat again.")
    return _message(row, {})


def add_conversation(db: sqlite3.Connection, title: str, created_s: float, updated_s: float) -> int:
    """Add an empty conversation and return its id."""
    added = db.execute(
        "INSERT INTO conversation (title, created_s, updated_s) VALUES (?, ?, ?)",
        (_title(title), created_s, updated_s),
    )
    return added.lastrowid or 0


def add_messages(db: sqlite3.Connection, conversation: int, messages: Iterable[Message]) -> None:
    """Add messages under the ids they have, which must be new ones."""
    db.executemany(
        _INSERT,
        (
            (
                conversation,
                message.id,
                message.parent,
                message.role,
                storable(message.text),
                storable(message.reasoning),
                storable(message.model),
                message.created_s,
                message.finished,
                storable(message.note),
                *records.to_columns(message.record),
            )
            for message in messages
        ),
    )


def add_message(db: sqlite3.Connection, conversation: int, message: Message) -> Message:
    """Add one, show its branch, and return it with the id it was given."""
    number = next_message_id(db)
    add_messages(db, conversation, [replace(message, id=number)])
    set_leaf(db, conversation, number)
    db.execute(
        "UPDATE conversation SET updated_s = ? WHERE id = ?", (message.created_s, conversation)
    )
    return read_message(db, number)


def next_message_id(db: sqlite3.Connection) -> int:
    """Return the id from which on none was ever given to a message."""
    (last,) = db.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'message'"
    ).fetchone()
    return int(last) + 1


def rename(db: sqlite3.Connection, conversation: int, title: str) -> None:
    """Give it a title; raises ConversationError if it is not there."""
    _require(
        db.execute(
            "UPDATE conversation SET title = ? WHERE id = ?",
            (_title(title), conversation),
        ),
        conversation,
    )


def set_deleted(db: sqlite3.Connection, conversation: int, deleted_s: float | None) -> None:
    """Hide it since a time, or show it again; raises ConversationError if it is not there."""
    _require(
        db.execute("UPDATE conversation SET deleted_s = ? WHERE id = ?", (deleted_s, conversation)),
        conversation,
    )


def set_leaf(db: sqlite3.Connection, conversation: int, leaf: int | None) -> None:
    """Say which message ends the branch that is shown."""
    db.execute("UPDATE conversation SET leaf = ? WHERE id = ?", (leaf, conversation))


def require_in(db: sqlite3.Connection, conversation: int, message: int) -> None:
    """Raise ConversationError unless the message is one of the conversation's."""
    found = db.execute(
        "SELECT 1 FROM message WHERE id = ? AND conversation = ?", (message, conversation)
    ).fetchone()
    if found is None:
        raise ConversationError(
            f"Message {message} is not part of conversation {conversation}. Open it again."
        )


def add_piece(db: sqlite3.Connection, message: int, text: str, reasoning: str) -> None:
    """Add to a message that streams, without touching what it has."""
    added = db.execute(
        "INSERT INTO piece (message, text, reasoning) "
        "SELECT id, ?, ? FROM message WHERE id = ? AND NOT finished",
        (storable(text), storable(reasoning), message),
    )
    if not added.rowcount:
        raise ConversationError(f"Message {message} does not stream any more. Open its chat again.")


def fold_pieces(db: sqlite3.Connection, message: int) -> None:
    """Make what has streamed part of the message; harmless while more of it comes."""
    pieces = db.execute(
        "SELECT message, text, reasoning FROM piece WHERE message = ? ORDER BY id", (message,)
    )
    for text, reasoning in _pieces(pieces).values():
        db.execute(
            "UPDATE message SET text = text || ?, reasoning = reasoning || ? WHERE id = ?",
            (text, reasoning, message),
        )
    db.execute("DELETE FROM piece WHERE message = ?", (message,))


def finish_message(
    db: sqlite3.Connection, message: int, record: ReplyRecord | None, note: str, now_s: float
) -> None:
    """Fold in what has streamed and write how the message came to its end."""
    fold_pieces(db, message)
    db.execute(
        "UPDATE message SET finished = 1, note = ?, stats = ?, settings = ?, sampling = ?, "
        "energy = ? WHERE id = ?",
        (storable(note), *records.to_columns(record), message),
    )
    db.execute(
        "UPDATE conversation SET updated_s = ? "
        "WHERE id = (SELECT conversation FROM message WHERE id = ?)",
        (now_s, message),
    )


def streaming(db: sqlite3.Connection) -> tuple[int, ...]:
    """Return the messages that have pieces: those that stream, and those once cut off."""
    return tuple(row[0] for row in db.execute("SELECT DISTINCT message FROM piece"))


def _title(text: str) -> str:
    return storable(" ".join(text.split())[:LONGEST_TITLE])


def _require(changed: sqlite3.Cursor, conversation: int) -> None:
    if not changed.rowcount:
        raise _gone(conversation)


def _gone(conversation: int) -> ConversationError:
    return ConversationError(
        f"Conversation {conversation} is not there any more. Choose another from the list."
    )


def _message(row: tuple[Any, ...], pieces: dict[int, tuple[str, str]]) -> Message:
    number, parent, role, text, reasoning, model, created_s, finished, note, *record = row
    if number in pieces:
        more_text, more_reasoning = pieces[number]
        text, reasoning = text + more_text, reasoning + more_reasoning
    return Message(
        number,
        parent,
        role,
        text,
        reasoning,
        model,
        created_s,
        bool(finished),
        note,
        records.from_columns(*record),
    )


def _pieces(rows: Iterable[tuple[int, str, str]]) -> dict[int, tuple[str, str]]:
    parts: dict[int, tuple[list[str], list[str]]] = {}
    for message, text, reasoning in rows:
        texts, reasonings = parts.setdefault(message, ([], []))
        texts.append(text)
        reasonings.append(reasoning)
    return {message: ("".join(a), "".join(b)) for message, (a, b) in parts.items()}
