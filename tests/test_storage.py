# SPDX-License-Identifier: MIT
"""The file of what must not be lost: order, undoing, versions, damage, full disks, locks."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from rigpanel.storage import MIGRATIONS, Storage, StorageError

LIMIT_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "rigpanel.sqlite3"


@pytest.fixture
def storage(path: Path) -> Iterator[Storage]:
    opened = Storage(path, busy_timeout_s=0.2)
    yield opened
    assert opened.close(LIMIT_S)


def keeping(storage: Storage, name: str, text: str = "") -> Future[int]:
    return storage.submit(
        lambda db: db.execute("INSERT INTO preset VALUES (?, ?)", (name, text)).rowcount
    )


def keep(storage: Storage, name: str, text: str = "") -> None:
    assert keeping(storage, name, text).result(LIMIT_S) == 1


def kept(storage: Storage) -> list[str]:
    return storage.submit(
        lambda db: [name for (name,) in db.execute("SELECT name FROM preset ORDER BY rowid")]
    ).result(LIMIT_S)


def closed(path: Path, *names: str) -> None:
    storage = Storage(path)
    rows = [(name,) for name in names]
    storage.submit(lambda db: db.executemany("INSERT INTO preset VALUES (?, '')", rows))
    assert storage.close(LIMIT_S)


def test_what_was_submitted_is_done_in_order_before_it_closes(path: Path) -> None:
    storage = Storage(path)
    held = threading.Event()
    storage.submit(lambda _: held.wait(LIMIT_S))
    done = [keeping(storage, name) for name in ("c", "a", "b")]
    assert not storage.close(0.0)
    held.set()
    assert storage.close(LIMIT_S)
    assert all(future.done() for future in done)
    with pytest.raises(StorageError, match="has been closed"):
        kept(storage)
    again = Storage(path)
    assert kept(again) == ["c", "a", "b"]
    assert again.close(LIMIT_S)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_work_that_fails_leaves_nothing_behind(storage: Storage) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO preset VALUES ('half', '')")
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        storage.submit(half).result(LIMIT_S)
    keep(storage, "whole")
    assert kept(storage) == ["whole"]


def test_cancelled_work_is_not_done(storage: Storage) -> None:
    held = threading.Event()
    storage.submit(lambda _: held.wait(LIMIT_S))
    assert keeping(storage, "cancelled").cancel()
    held.set()
    assert kept(storage) == []


def test_the_file_is_for_its_owner_alone(storage: Storage, path: Path) -> None:
    keep(storage, "mine")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    closed(path, "of tomorrow")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    before = path.read_bytes()
    storage = Storage(path)
    with pytest.raises(StorageError, match=r"newer rigpanel \(its version 999.*Start the newer"):
        kept(storage)
    assert storage.close(LIMIT_S)
    assert path.read_bytes() == before


def test_a_file_of_an_older_version_keeps_what_it_has(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(path, "old")
    more = (*MIGRATIONS, ("ALTER TABLE preset ADD COLUMN colour TEXT DEFAULT 'red'",))
    monkeypatch.setattr("rigpanel.storage.MIGRATIONS", more)
    for _ in range(2):  # the second time there is nothing to do
        storage = Storage(path)
        read = storage.submit(lambda db: db.execute("SELECT name, colour FROM preset").fetchall())
        assert read.result(LIMIT_S) == [("old", "red")]
        assert storage.close(LIMIT_S)


def test_a_step_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(path, "old")
    step = ("ALTER TABLE preset ADD COLUMN colour TEXT", "no statement")
    with monkeypatch.context() as patch:
        patch.setattr("rigpanel.storage.MIGRATIONS", (*MIGRATIONS, step))
        storage = Storage(path)
        with pytest.raises(StorageError, match="could not be used"):
            kept(storage)
        assert storage.close(LIMIT_S)
    again = Storage(path)
    columns = again.submit(lambda db: db.execute("PRAGMA table_info(preset)").fetchall())
    assert [column[1] for column in columns.result(LIMIT_S)] == ["name", "sampling"]
    assert again.close(LIMIT_S)


@pytest.mark.parametrize("content", [b"no database at all, though long enough" * 100, b"SQLite fo"])
def test_a_foreign_file_is_kept_aside_and_a_new_one_begun(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    storage = Storage(path)
    keep(storage, "new")
    assert kept(storage) == ["new"]
    assert storage.close(LIMIT_S)
    (aside,) = (p for p in path.parent.iterdir() if p != path)
    assert aside.read_bytes() == content
    (sentence,) = storage.problems
    assert aside.name in sentence
    assert "damaged" in sentence


def test_a_file_damaged_within_is_found_after_an_end_out_of_order(path: Path) -> None:
    closed(path, *(f"{n:04}" * 20 for n in range(400)))
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))
    path.with_name(path.name + "-wal").write_bytes(b"")
    storage = Storage(path)
    assert kept(storage) == []
    assert "damaged" in storage.problems[0]
    assert storage.close(LIMIT_S)


def test_what_sqlite_keeps_beside_a_damaged_file_goes_with_it(path: Path) -> None:
    closed(path, "first")
    storage = Storage(path)
    keep(storage, "not closed in order")
    files = {name: path.with_name(path.name + name).read_bytes() for name in ("", "-wal")}
    assert storage.close(LIMIT_S)
    path.write_bytes(b"x" * 100 + files[""][100:])
    path.with_name(path.name + "-wal").write_bytes(files["-wal"])
    again = Storage(path)
    assert kept(again) == []
    assert again.close(LIMIT_S)
    (aside,) = path.parent.glob("*-damaged-*-wal")
    assert aside.read_bytes() == files["-wal"]


def test_damage_met_later_is_told_and_deletes_nothing(path: Path) -> None:
    closed(path, *(f"{n:04}" * 20 for n in range(400)))
    whole = path.read_bytes()
    damaged = whole[:-8192] + b"\xff" * 8192
    path.write_bytes(damaged)
    storage = Storage(path)
    with pytest.raises(StorageError, match=r"is damaged .*Export what can still be opened"):
        storage.submit(lambda db: db.execute("SELECT * FROM preset").fetchall()).result(LIMIT_S)
    assert storage.close(LIMIT_S)
    assert path.exists()


def test_a_folder_that_cannot_be_is_told_and_tried_again(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    storage = Storage(blocked / "rigpanel.sqlite3")
    with pytest.raises(StorageError, match=r"cannot be written .*Make its folder writable"):
        keep(storage, "a")
    blocked.unlink()
    keep(storage, "b")
    assert kept(storage) == ["b"]
    assert storage.close(LIMIT_S)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    storage = Storage(folder / "rigpanel.sqlite3")
    with pytest.raises(StorageError, match="Make its folder writable"):
        keep(storage, "a")
    assert storage.close(LIMIT_S)


def test_a_file_another_program_holds_is_told_and_free_later(storage: Storage, path: Path) -> None:
    keep(storage, "before")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"in use by another program for over 0\.2 s"):
        keep(storage, "meanwhile")
    other.execute("COMMIT")
    other.close()
    keep(storage, "after")
    assert kept(storage) == ["before", "after"]


def test_two_panels_write_one_file(path: Path) -> None:
    panels = [Storage(path, busy_timeout_s=LIMIT_S) for _ in range(2)]
    done = [keeping(panels[n % 2], str(n)) for n in range(40)]
    assert sum(future.result(LIMIT_S) for future in done) == 40
    assert kept(panels[0]) == kept(panels[1])
    assert len(kept(panels[0])) == 40
    assert all(panel.close(LIMIT_S) for panel in panels)


def test_sqlites_own_limit_is_told_as_a_full_disk(storage: Storage) -> None:
    keep(storage, "before")
    pages = storage.submit(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    limit = pages.result(LIMIT_S) + 2
    storage.submit(lambda db: db.execute(f"PRAGMA max_page_count = {limit}")).result(LIMIT_S)
    with pytest.raises(StorageError, match=r"is full.*Make room on its disk"):
        keep(storage, "too much", "x" * 100_000)
    storage.submit(lambda db: db.execute("PRAGMA max_page_count = 1000000")).result(LIMIT_S)
    keep(storage, "after")
    assert kept(storage) == ["before", "after"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.test_storage import keep, kept
from rigpanel.storage import Storage, StorageError
storage = Storage(Path(sys.argv[1]))
keep(storage, "before")
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
try:
    keep(storage, "too much", "x" * 1_000_000)
except StorageError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
keep(storage, "after")
print(kept(storage), storage.submit(
    lambda db: db.execute("PRAGMA integrity_check").fetchone()).result())
print(storage.close(30))
"""


def test_a_write_the_system_refuses_is_undone_and_the_next_one_works(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    sentence, names, ended = done.stdout.splitlines()
    assert "could not be written" in sentence
    assert "Make room on its disk" in sentence
    assert names == "['before', 'after'] ('ok',)"
    assert ended == "True"
