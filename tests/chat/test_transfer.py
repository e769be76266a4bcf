# SPDX-License-Identifier: MIT
"""What goes out comes in again; what comes from anywhere harms nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rigpanel.chat import transfer
from rigpanel.chat.conversation import Conversation, ConversationError, Message
from rigpanel.chat.store import ConversationStore
from rigpanel.codec import to_plain
from rigpanel.fit.load_settings import LoadSettings
from tests.chat.driving import (
    LIMIT_S,
    RECORD,
    begun,
    chain,
    export,
    exported,
    opened,
    texts,
    titles,
    trees,
)


def alike(message: Message) -> Message:
    return replace(message, id=0, parent=None)


def test_an_exported_conversation_is_imported_whole(store: ConversationStore) -> None:
    first = begun(store, "How warm?", "85 °C.", system="Be short.")
    number = first.info.id
    store.set_system(number, "").result(LIMIT_S)
    store.set_system(number, "Be kind.").result(LIMIT_S)  # now the root is the newest message
    reply = opened(store, number).path()[-1]
    store.finish(reply.id, RECORD, "Stopped.")
    assert reply.parent is not None
    store.add(number, reply.parent, "assistant", "Another branch.").result(LIMIT_S)
    store.choose(number, reply.id)
    text = store.export_json(number).result(LIMIT_S)
    assert json.loads(text, parse_constant=pytest.fail)  # Other programs know no `-Infinity`.
    info = store.import_json(text).result(LIMIT_S)
    before, after = opened(store, number), opened(store, info.id)
    assert info.id != number
    assert titles(store) == ["How warm?", "How warm?"]
    assert [alike(m) for m in after.path()] == [alike(m) for m in before.path()]
    assert len(after.siblings(after.path()[-1].id)) == 2
    assert after.path()[-1].record == RECORD
    assert titles(store, "Another branch") == ["How warm?", "How warm?"]


def test_the_branch_shown_is_exported_for_people(store: ConversationStore) -> None:
    conversation = begun(store, "How warm?", title="Heat", system="Be short.")
    reply = store.add(
        conversation.info.id, conversation.leaf, "assistant", "", model="Llama 8B", finished=False
    ).result(LIMIT_S)
    store.append(reply.id, "85 °C.\n", "The user\nasks.").result(LIMIT_S)
    text = store.export_markdown(conversation.info.id).result(LIMIT_S)
    title, _day, *rest = text.split("\n\n")
    assert title == "# Heat"
    assert "\n\n".join(rest) == (
        "## System\n\nBe short.\n\n## You\n\nHow warm?\n\n## Assistant (Llama 8B)\n\n"
        "> *Thought:*\n>\n> The user\n> asks.\n\n85 °C.\n\n*Cut off here.*\n"
    )


def test_thoughts_are_counted_apart_in_what_people_read(store: ConversationStore) -> None:
    conversation = begun(store, "How warm?")
    reply = store.add(
        conversation.info.id, conversation.leaf, "assistant", "", finished=False
    ).result(LIMIT_S)
    store.append(reply.id, "85 °C.", "Hm.").result(LIMIT_S)
    store.finish(reply.id, RECORD).result(LIMIT_S)
    text = store.export_markdown(conversation.info.id).result(LIMIT_S)
    assert "> *Thought (7 of 40 tokens):*\n>\n> Hm.\n\n85 °C.\n" in text


def test_a_long_conversation_goes_in_and_out(store: ConversationStore) -> None:
    info = store.import_json(chain(2000)).result(LIMIT_S)
    conversation = opened(store, info.id)
    assert (info.n_messages, len(conversation.path())) == (2000, 2000)
    assert conversation.path()[-1].text == "no. 2000"


def test_a_path_that_is_not_utf_8_goes_in_and_out(store: ConversationStore) -> None:
    conversation = begun(store, "a", "b")
    settings = LoadSettings(Path("/models/caf\udce9.gguf"))
    record = replace(RECORD, settings=settings)
    store.finish(conversation.path()[-1].id, record)
    text = store.export_json(conversation.info.id).result(LIMIT_S)
    info = store.import_json(text.encode().decode()).result(LIMIT_S)
    assert opened(store, info.id).path()[-1].record == record


def test_a_title_is_cut_to_what_a_list_can_show(store: ConversationStore) -> None:
    info = store.import_json(export(title="very \n" * 1000)).result(LIMIT_S)
    assert info.title.startswith("very very very")
    assert len(info.title) <= 200


def test_parents_may_stand_after_their_answers(store: ConversationStore) -> None:
    text = export(exported(id=7, parent=9, text="b"), exported(id=9, text="a"), leaf=7)
    info = store.import_json(text).result(LIMIT_S)
    assert texts(opened(store, info.id).path()) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a conversation exported by rigpanel"),
        ('{"format": "of another program"}', "not a conversation exported by rigpanel"),
        (export(version=2), "newer rigpanel"),
        (export(version="1"), "`version` must be of type int"),
        (export(version=True), "`version` must be of type int"),
        (export(messages={}), "`messages` must be of type list"),
        (export(title=None), "`title` must be of type str"),
        (export(created_s="now"), "`created_s` must be seconds"),
        (export(created_s=float("nan")), "`created_s` must be seconds"),
        (export(leaf=1), "`leaf` names a message that is not in it"),
        (export(exported(), leaf=[1]), "`leaf` names a message that is not in it"),
        (export(exported(), "text"), "Message 2 cannot be imported: it is not an object"),
        (export(exported(role="tool")), "Message 1 cannot be imported: its role is 'tool'"),
        (export(exported(role=3)), "`role` must be of type str"),
        (export(exported(id="1")), "`id` must be of type int"),
        (export(exported(text=None)), "`text` must be of type str"),
        (export(exported(finished=1)), "`finished` must be of type bool"),
        (export(exported(created_s=1e300)), "`created_s` must be seconds"),
        (export(exported(parent=True)), "`parent` must be"),
        (export(exported(), exported()), "two messages have the same id"),
        (export(exported(parent=5)), "its parent 5 is not in the file"),
        (export(exported(parent=1)), "in a circle"),
        (export(exported(), exported(id=2, parent=3), exported(id=3, parent=2)), "in a circle"),
        (export(exported(record=[])), "`record` is not one of a reply"),
        (export(exported(record={"stats": {"n_gen": "many"}})), "`record` is not one of a reply"),
        (export(exported(id=10**30)), "no count is 1000"),
    ],
)
def test_what_is_no_conversation_is_refused_whole(
    store: ConversationStore, text: str, sentence: str
) -> None:
    with pytest.raises(ConversationError, match=r"(?i)nothing was imported") as caught:
        store.import_json(text).result(LIMIT_S)
    assert sentence in str(caught.value)
    assert titles(store) == []


def test_a_hundred_megabytes_are_refused_unread(store: ConversationStore) -> None:
    with pytest.raises(ConversationError, match="too long to be a conversation"):
        store.import_json(" " * 100 * 2**20).result(LIMIT_S)


def test_wrong_types_within_a_record_are_refused() -> None:
    whole = to_plain(RECORD)
    for part, field in (("stats", "n_prompt"), ("settings", "n_ctx"), ("sampling", "top_k")):
        broken = whole | {part: whole[part] | {field: "12"}}
        with pytest.raises(ConversationError, match="record"):
            transfer.from_json(export(exported(record=broken)))


@given(trees())
def test_every_branch_keeps_its_place(conversation: Conversation) -> None:
    read = transfer.from_json(transfer.to_json(conversation))
    assert [message.text for message in read.messages.values()] == [
        message.text for message in conversation.messages.values()
    ]
    assert texts(read.path()) == texts(conversation.path())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    field=st.sampled_from(sorted(exported())),
    top_field=st.sampled_from(["title", "created_s", "leaf", "messages", "version"]),
    values=st.tuples(JSON, JSON),
    both=st.booleans(),
)
def test_any_value_anywhere_is_taken_or_refused(
    field: str, top_field: str, values: tuple[object, object], both: bool
) -> None:
    message = exported(id=2) | {field: values[0]}
    text = export(exported(), message, **({top_field: values[1]} if both else {}))
    try:
        read = transfer.from_json(text)
    except ConversationError:
        return
    assert transfer.from_json(transfer.to_json(read)) == read
