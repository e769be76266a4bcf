# SPDX-License-Identifier: MIT
"""Where in the conversations words stand: an index of every three letters, where SQLite has one.

The index finds parts of words and scripts without spaces. It holds nothing that is not in the
messages, so it is made anew where it is missing, and is no step of the file's version.
"""

import sqlite3

_TRIGGERS = {
    "message_index_added": "INSERT ON message BEGIN {add}; END",
    "message_index_deleted": "DELETE ON message BEGIN {remove}; END",
    "message_index_changed": "UPDATE OF text ON message BEGIN {remove}; {add}; END",
}
_ADD = "INSERT INTO message_index (rowid, text) VALUES (new.id, new.text)"
_REMOVE = (
    "INSERT INTO message_index (message_index, rowid, text) VALUES ('delete', old.id, old.text)"
)
SHORTEST = 3
"""Shorter words are not in the index."""
LONGEST_SEARCH = 200
"""Letters of a search that count."""


def prepare(connection: sqlite3.Connection) -> bool:
    """Make the index where it is missing; False, and none is kept, where SQLite cannot."""
    if not _has_trigrams(connection):
        for name in _TRIGGERS:
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        return False
    (n_there,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'message_index_%'"
    ).fetchone()
    if n_there == len(_TRIGGERS):
        return True
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS message_index USING fts5("
        "text, content='message', content_rowid='id', tokenize='trigram')"
    )
    for name, body in _TRIGGERS.items():
        filled = body.format(add=_ADD, remove=_REMOVE)
        connection.execute(f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {filled}")
    connection.execute("INSERT INTO message_index (message_index) VALUES ('rebuild')")
    return True


def condition(search: str, *, indexed: bool) -> tuple[str, list[str]]:
    """Return SQL, true for a `conversation c` that has every word of `search`, and its values.

    A word may stand in the title or in any message, in upper or lower case, also inside another.
    """
    parts, values = ["1"], []
    for word in dict.fromkeys(search[:LONGEST_SEARCH].split()):
        patterns = _patterns(word)
        title = " OR ".join([r"c.title LIKE ? ESCAPE '\'"] * len(patterns))
        values += patterns
        if indexed and len(word) >= SHORTEST:
            text = "m.id IN (SELECT rowid FROM message_index WHERE message_index MATCH ?)"
            values.append('"' + word.replace('"', '""') + '"')
        else:
            text = " OR ".join([r"m.text LIKE ? ESCAPE '\'"] * len(patterns))
            values += patterns
        parts.append(  # every word of a person is bound, none is part of the text
            f"({title} OR c.id IN (SELECT m.conversation FROM message m WHERE {text}))"  # noqa: S608
        )
    return " AND ".join(parts), values


def _has_trigrams(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute(
            "CREATE VIRTUAL TABLE temp.trigrams_there USING fts5(text, tokenize='trigram')"
        )
    except sqlite3.OperationalError:
        return False
    connection.execute("DROP TABLE temp.trigrams_there")
    return True


def _patterns(word: str) -> list[str]:
    """Return the word for LIKE, which knows upper and lower case of English letters only."""
    kinds = dict.fromkeys((word, word.lower(), word.upper(), word.capitalize()))
    if word.isascii():
        kinds = {word: None}
    return [
        "%" + kind.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
        for kind in kinds
    ]
