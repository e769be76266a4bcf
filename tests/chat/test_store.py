# SPDX-License-Identifier: MIT
"""Conversations come back from disk as they were left."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from rigpanel.chat.conversation import ConversationError
from rigpanel.chat.store import KEEP_DELETED_S, ConversationStore
from rigpanel.storage import Storage, StorageError
from tests.chat.driving import BLIND, LIMIT_S, RECORD, Clock, begun, chain, opened, texts, titles


def test_a_conversation_is_there_after_a_restart(path: Path, clock: Clock) -> None:
    storage = Storage(path)
    store = ConversationStore(storage, clock)
    before = begun(store, "How warm may a card be?", "Up to 85 °C.", system="Be short.")
    assert storage.close(LIMIT_S)
    storage = Storage(path)
    after = opened(ConversationStore(storage, clock), before.info.id)
    assert storage.close(LIMIT_S)
    assert after == before
    assert [m.role for m in after.path()] == ["system", "user", "assistant"]
    assert texts(after.path()) == ["Be short.", "How warm may a card be?", "Up to 85 °C."]
    assert (after.info.title, after.info.n_messages) == ("How warm may a card be?", 3)
    assert after.info.model == "Llama 8B"


def test_editing_and_regenerating_make_branches_that_can_be_chosen(
    store: ConversationStore,
) -> None:
    number = begun(store, "a", "b").info.id
    first, reply = opened(store, number).path()
    again = store.add(number, first.id, "assistant", "b again").result(LIMIT_S)
    edited = store.add(number, first.parent, "user", "a edited").result(LIMIT_S)
    tree = opened(store, number)
    assert texts(tree.path()) == ["a edited"]
    assert tree.siblings(reply.id) == (reply.id, again.id)
    assert tree.siblings(edited.id) == (first.id, edited.id)
    store.choose(number, tree.leaf_below(first.id)).result(LIMIT_S)
    assert texts(opened(store, number).path()) == ["a", "b again"]


def test_what_streams_is_there_at_once_and_whole_in_the_end(store: ConversationStore) -> None:
    conversation = begun(store, "Count.")
    reply = store.add(
        conversation.info.id, conversation.leaf, "assistant", "", model="m", finished=False
    ).result(LIMIT_S)
    store.append(reply.id, "one ", "I think ")
    store.append(reply.id, "two ", "so.").result(LIMIT_S)
    during = opened(store, conversation.info.id).path()[-1]
    assert (during.text, during.reasoning, during.finished) == ("one two ", "I think so.", False)
    store.append(reply.id, "three")
    ended = store.finish(reply.id, RECORD, "The engine died.").result(LIMIT_S)
    assert ended == opened(store, conversation.info.id).path()[-1]
    assert (ended.text, ended.reasoning) == ("one two three", "I think so.")
    assert (ended.finished, ended.note, ended.record) == (True, "The engine died.", RECORD)
    with pytest.raises(ConversationError, match="does not stream any more"):
        store.append(reply.id, "late").result(LIMIT_S)


def test_a_record_keeps_what_is_missing_missing(store: ConversationStore) -> None:
    conversation = begun(store, "a", "b")
    for record in (replace(RECORD, energy=BLIND, settings=None), None):
        ended = store.finish(conversation.path()[-1].id, record).result(LIMIT_S)
        assert ended.record == record


def test_a_record_of_another_version_does_not_hide_its_message(
    store: ConversationStore, storage: Storage
) -> None:
    conversation = begun(store, "a", "b")
    reply = conversation.path()[-1].id
    store.finish(reply, RECORD)
    storage.submit(
        lambda db: db.execute("UPDATE message SET stats = '{}' WHERE id = ?", (reply,))
    ).result(LIMIT_S)
    assert opened(store, conversation.info.id).path()[-1].text == "b"


def test_the_newest_conversation_is_listed_first(store: ConversationStore) -> None:
    older = begun(store, "older")
    begun(store, "newer")
    assert titles(store) == ["newer", "older"]
    store.add(older.info.id, older.leaf, "assistant", "more").result(LIMIT_S)
    assert titles(store) == ["older", "newer"]
    assert [info.title for info in store.list(limit=1).result(LIMIT_S)] == ["older"]


def test_a_name_a_person_gave_stays(store: ConversationStore) -> None:
    named = begun(store, "text", title="Name")
    assert named.info.title == "Name"
    store.rename(named.info.id, " Other name ").result(LIMIT_S)
    store.add(named.info.id, named.leaf, "user", "more").result(LIMIT_S)
    assert titles(store) == ["Other name"]


def test_a_deleted_conversation_can_be_had_back(store: ConversationStore) -> None:
    gone = begun(store, "gone")
    store.delete(gone.info.id).result(LIMIT_S)
    assert titles(store) == titles(store, "gone") == []
    with pytest.raises(ConversationError, match="not there any more"):
        opened(store, gone.info.id)
    store.restore(gone.info.id).result(LIMIT_S)
    assert titles(store, "gone") == ["gone"]
    assert opened(store, gone.info.id) == gone


def test_a_deleted_conversation_is_gone_for_good_after_thirty_days(
    store: ConversationStore, storage: Storage, clock: Clock
) -> None:
    early = store.import_json(chain(3000)).result(LIMIT_S).id
    late, _ = (begun(store, name).info.id for name in ("late", "kept"))
    store.delete(early).result(LIMIT_S)
    clock.now_s += KEEP_DELETED_S / 2
    store.delete(late).result(LIMIT_S)
    clock.now_s += KEEP_DELETED_S / 2 + 60
    again = ConversationStore(storage, clock)
    again.restore(late).result(LIMIT_S)
    assert titles(again) == ["kept", "late"]
    with pytest.raises(ConversationError, match="not there any more"):
        again.restore(early).result(LIMIT_S)
    count = storage.submit(lambda db: db.execute("SELECT count(*) FROM message").fetchone())
    assert count.result(LIMIT_S) == (2,)


def test_the_system_message_can_be_put_changed_and_taken_away(store: ConversationStore) -> None:
    number = begun(store, "a", "b").info.id
    leaf = opened(store, number).leaf
    assert texts(store.set_system(number, "Be kind.").result(LIMIT_S).path()) == [
        "Be kind.",
        "a",
        "b",
    ]
    changed = store.set_system(number, "Be short.").result(LIMIT_S)
    assert changed.path()[0].role == "system"
    assert changed.path()[0].text == "Be short."
    assert changed.leaf == changed.leaf_below(changed.path()[0].id) == leaf
    assert texts(store.set_system(number, "").result(LIMIT_S).path()) == ["a", "b"]
    empty = store.create(system="x").result(LIMIT_S).info.id
    assert store.set_system(empty, "").result(LIMIT_S).path() == ()
    assert texts(store.set_system(empty, "y").result(LIMIT_S).path()) == ["y"]


def test_what_is_not_there_is_told(store: ConversationStore) -> None:
    number = begun(store, "a").info.id
    other = begun(store, "b")
    assert other.leaf is not None
    for future in (
        store.open(99),
        store.add(99, None, "user", "x"),
        store.add(number, other.leaf, "user", "x"),
        store.add(number, None, "tool", "x"),
        store.append(99, "x"),
        store.finish(99, None),
        store.choose(number, other.leaf),
        store.rename(99, "x"),
        store.delete(99),
        store.export_json(99),
    ):
        with pytest.raises(ConversationError, match=r"\w\.$"):
            future.result(LIMIT_S)
    assert texts(opened(store, number).path()) == ["a"]


def test_text_that_sqlite_cannot_hold_is_kept_as_near_as_may_be(store: ConversationStore) -> None:
    conversation = begun(store, "half \ud83d of a pair, and \0 too")
    assert conversation.path()[0].text == "half ? of a pair, and \ufffd too"
    assert titles(store, "and \0 too") == [conversation.info.title]


def test_two_panels_on_one_file_see_each_other(
    store: ConversationStore, path: Path, clock: Clock
) -> None:
    mine = begun(store, "mine")
    reply = store.add(mine.info.id, mine.leaf, "assistant", "", finished=False).result(LIMIT_S)
    store.append(reply.id, "one ").result(LIMIT_S)
    storage = Storage(path)
    other = ConversationStore(storage, clock)  # tidies up while the first one streams
    assert opened(other, mine.info.id).path()[-1].text == "one "
    store.append(reply.id, "two")
    ended = store.finish(reply.id, None).result(LIMIT_S)
    assert (ended.text, ended.finished) == ("one two", True)
    assert opened(other, mine.info.id).path()[-1] == ended
    assert titles(other, "one two") == ["mine"]
    assert storage.close(LIMIT_S)


def test_a_disk_that_fills_loses_only_what_was_written_then(
    store: ConversationStore, storage: Storage
) -> None:
    conversation = begun(store, "Write a lot.")
    reply = store.add(
        conversation.info.id, conversation.leaf, "assistant", "", finished=False
    ).result(LIMIT_S)
    store.append(reply.id, "kept ")

    def allow(more: int) -> None:
        def work(db: sqlite3.Connection) -> None:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + more}")

        storage.submit(work).result(LIMIT_S)

    allow(0)
    with pytest.raises(StorageError, match="Make room on its disk"):
        store.append(reply.id, "x" * 1_000_000).result(LIMIT_S)
    allow(1000)
    store.append(reply.id, "and on")
    assert store.finish(reply.id, None).result(LIMIT_S).text == "kept and on"
