# SPDX-License-Identifier: MIT
"""Conversations on disk: every method returns at once, with a future of what the file says."""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from rigpanel.chat import rows, transfer
from rigpanel.chat.conversation import (
    ROLES,
    Conversation,
    ConversationError,
    ConversationInfo,
    Message,
    ReplyRecord,
    title_from,
)
from rigpanel.chat.search import condition
from rigpanel.storage import Storage, storable

KEEP_DELETED_S = 30 * 24 * 3600.0
"""How long a deleted conversation can be had back."""
LIST_LIMIT = 500


class ConversationStore:
    """Keeps conversations in a Storage; ids are those of the file.

    A future raises ConversationError for what is not there and StorageError where the file cannot
    be used. A reply streams as `add` with `finished=False`, `append`s and `finish`.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        storage.submit(self._begin)

    def create(self, title: str = "", system: str = "") -> Future[Conversation]:
        """Begin a conversation, with a system message at its root where `system` is not empty."""

        def work(db: sqlite3.Connection) -> Conversation:
            now_s = self._clock()
            conversation = rows.add_conversation(db, title, now_s, now_s)
            if system:
                rows.add_message(db, conversation, self._system(system))
            return rows.read_conversation(db, conversation)

        return self._storage.submit(work)

    def list(
        self, search: str = "", limit: int = LIST_LIMIT
    ) -> Future[tuple[ConversationInfo, ...]]:
        """Find those with every word of `search` in title or texts, newest first."""

        def work(db: sqlite3.Connection) -> tuple[ConversationInfo, ...]:
            found, values = condition(storable(search))
            listed = db.execute(
                f"{rows.INFO} WHERE c.deleted_s IS NULL AND {found} "
                "ORDER BY c.updated_s DESC, c.id DESC LIMIT ?",
                (*values, limit),
            )
            return tuple(ConversationInfo(*row) for row in listed)

        return self._storage.submit(work)

    def open(self, conversation: int) -> Future[Conversation]:
        """Read every message of every branch; what was cut off with all that had come of it."""
        return self._storage.submit(lambda db: rows.read_conversation(db, conversation))

    def add(
        self,
        conversation: int,
        parent: int | None,
        role: str,
        text: str,
        *,
        model: str = "",
        finished: bool = True,
    ) -> Future[Message]:
        """Add a message below `parent` (None begins a branch at the root) and show its branch."""

        def work(db: sqlite3.Connection) -> Message:
            info = rows.read_info(db, conversation)
            if role not in ROLES:
                raise ConversationError(f"{role!r} is no role of a message: one of {ROLES} is.")
            if parent is not None:
                rows.require_in(db, conversation, parent)
            if role == "user" and not info.title:
                rows.rename(db, conversation, title_from(text))
            now_s = self._clock()
            message = Message(0, parent, role, text, "", model, now_s, finished, "", None)
            return rows.add_message(db, conversation, message)

        return self._storage.submit(work)

    def append(self, message: int, text: str, reasoning: str = "") -> Future[None]:
        """Add to a message that streams; costs the same however long it has become."""
        return self._storage.submit(lambda db: rows.add_piece(db, message, text, reasoning))

    def finish(self, message: int, record: ReplyRecord | None, note: str = "") -> Future[Message]:
        """End a streamed message; `note` is a sentence where it ended short."""

        def work(db: sqlite3.Connection) -> Message:
            rows.finish_message(db, message, record, note, self._clock())
            return rows.read_message(db, message)

        return self._storage.submit(work)

    def choose(self, conversation: int, leaf: int) -> Future[None]:
        """Show the branch that ends with the message `leaf`."""

        def work(db: sqlite3.Connection) -> None:
            rows.require_in(db, conversation, leaf)
            rows.set_leaf(db, conversation, leaf)

        return self._storage.submit(work)

    def set_system(self, conversation: int, text: str) -> Future[Conversation]:
        """Put `text` in place of the system message of the branch shown; empty takes it away."""

        def work(db: sqlite3.Connection) -> Conversation:
            path = rows.read_conversation(db, conversation).path()
            root = path[0] if path and path[0].role == "system" else None
            if root is None and text:
                added = rows.add_message(db, conversation, self._system(text))
                db.execute(
                    "UPDATE message SET parent = ? "
                    "WHERE conversation = ? AND parent IS NULL AND id <> ?",
                    (added.id, conversation, added.id),
                )
                rows.set_leaf(db, conversation, path[-1].id if path else added.id)
            elif root is not None and text:
                db.execute("UPDATE message SET text = ? WHERE id = ?", (storable(text), root.id))
            elif root is not None:
                db.execute("UPDATE message SET parent = NULL WHERE parent = ?", (root.id,))
                rows.set_leaf(db, conversation, path[-1].id if len(path) > 1 else None)
                db.execute("DELETE FROM message WHERE id = ?", (root.id,))
            return rows.read_conversation(db, conversation)

        return self._storage.submit(work)

    def rename(self, conversation: int, title: str) -> Future[None]:
        """Give it a title; an empty one is made from the next message of a person."""
        return self._storage.submit(lambda db: rows.rename(db, conversation, title))

    def delete(self, conversation: int) -> Future[None]:
        """Take it out of list and search; `restore` brings it back for thirty days."""
        now_s = self._clock()
        return self._storage.submit(lambda db: rows.set_deleted(db, conversation, now_s))

    def restore(self, conversation: int) -> Future[None]:
        """Undo a `delete`."""
        return self._storage.submit(lambda db: rows.set_deleted(db, conversation, None))

    def export_markdown(self, conversation: int) -> Future[str]:
        """Return the branch shown, for people to read."""
        return self._storage.submit(
            lambda db: transfer.to_markdown(rows.read_conversation(db, conversation))
        )

    def export_json(self, conversation: int) -> Future[str]:
        """Return every branch with all that is known, as `import_json` reads it."""
        return self._storage.submit(
            lambda db: transfer.to_json(rows.read_conversation(db, conversation))
        )

    def import_json(self, text: str) -> Future[ConversationInfo]:
        """Add what `export_json` wrote as a new conversation: all of it, or nothing."""

        def work(db: sqlite3.Connection) -> ConversationInfo:
            read = transfer.from_json(text)
            info = read.info
            conversation = rows.add_conversation(db, info.title, info.created_s, self._clock())
            before = rows.next_message_id(db) - 1
            rows.add_messages(
                db,
                conversation,
                (
                    replace(
                        message,
                        id=before + message.id,
                        parent=None if message.parent is None else before + message.parent,
                    )
                    for message in read.messages.values()
                ),
            )
            rows.set_leaf(db, conversation, None if read.leaf is None else before + read.leaf)
            return rows.read_info(db, conversation)

        return self._storage.submit(work)

    def _begin(self, db: sqlite3.Connection) -> None:
        """Tidy up what the last run left."""
        for message in rows.streaming(db):
            rows.fold_pieces(db, message)
        db.execute(
            "DELETE FROM conversation WHERE deleted_s < ?", (self._clock() - KEEP_DELETED_S,)
        )

    def _system(self, text: str) -> Message:
        return Message(0, None, "system", text, "", "", self._clock(), True, "", None)
