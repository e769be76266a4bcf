# SPDX-License-Identifier: MIT
"""A store on a real file, with a clock that stands until it is moved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.chat.store import ConversationStore
from rigpanel.storage import Storage
from tests.chat.driving import LIMIT_S, Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rigpanel.sqlite3"


@pytest.fixture
def storage(path: Path) -> Iterator[Storage]:
    opened = Storage(path)
    yield opened
    assert opened.close(LIMIT_S)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(storage: Storage, clock: Clock) -> ConversationStore:
    return ConversationStore(storage, clock)
