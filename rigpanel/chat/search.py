# SPDX-License-Identifier: MIT
"""Which conversations have the words looked for: every text is read, and no index is kept.

Reading 50 MB of messages takes SQLite a tenth of a second; its index of every three letters (FTS5's
trigrams, the one that knows scripts without spaces) made the file six times as large and took half
a second for each MB that came in, during which nothing that streams can be saved.
"""

LONGEST_SEARCH = 200
"""Letters of a search that count."""


def condition(search: str) -> tuple[str, list[str]]:
    """Return SQL, true for a `conversation c` that has every word of `search`, and its values.

    A word may stand in the title or in any message, in upper or lower case, also inside another.
    """
    parts, values = ["1"], []
    for word in dict.fromkeys(search[:LONGEST_SEARCH].split()):
        patterns = _patterns(word)
        title, text = (
            " OR ".join([rf"{column} LIKE ? ESCAPE '\'"] * len(patterns))
            for column in ("c.title", "m.text")
        )
        # Every word of a person is bound, none is part of this.
        parts.append(
            f"({title} OR c.id IN (SELECT m.conversation FROM message m WHERE {text}))"  # noqa: S608
        )
        values += patterns * 2
    return " AND ".join(parts), values


def _patterns(word: str) -> list[str]:
    """Return the word for LIKE, which knows upper and lower case of English letters only."""
    spelled = [word] if word.isascii() else [word, word.lower(), word.upper(), word.capitalize()]
    return [
        "%" + kind.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
        for kind in dict.fromkeys(spelled)
    ]
