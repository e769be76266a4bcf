# SPDX-License-Identifier: MIT
"""The one SQLite file of what must not be lost, and the one thread that reads and writes it."""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rigpanel.errors import RigpanelError

T = TypeVar("T")

log = logging.getLogger(__name__)

FILE_NAME = "rigpanel.sqlite3"
"""In the folder of what must not be lost."""
MAGIC = b"SQLite format 3\0"
BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process that writes."""
BUSY_PAUSE_S = 0.02

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE conversation (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            created_s REAL NOT NULL,
            updated_s REAL NOT NULL,
            leaf INTEGER REFERENCES message DEFERRABLE INITIALLY DEFERRED,
            deleted_s REAL)""",
        # No cascade from a parent: SQLite follows one only a thousand messages deep.
        """CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
            parent INTEGER REFERENCES message,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            reasoning TEXT NOT NULL DEFAULT '',
            model TEXT NOT NULL DEFAULT '',
            created_s REAL NOT NULL,
            finished INTEGER NOT NULL,
            note TEXT NOT NULL DEFAULT '',
            stats TEXT, settings TEXT, sampling TEXT, energy TEXT)""",
        "CREATE INDEX message_by_conversation ON message (conversation)",
        "CREATE INDEX message_by_parent ON message (parent)",
        "CREATE INDEX conversation_by_leaf ON conversation (leaf)",
        # What streams is laid down piece by piece; a reply's end folds it into its message.
        """CREATE TABLE piece (
            id INTEGER PRIMARY KEY,
            message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
            text TEXT NOT NULL,
            reasoning TEXT NOT NULL)""",
        "CREATE INDEX piece_by_message ON piece (message)",
        """CREATE TABLE preset (
            name TEXT PRIMARY KEY,
            sampling TEXT NOT NULL)""",
        """CREATE TABLE load_profile (
            model TEXT NOT NULL,
            name TEXT NOT NULL,
            settings TEXT NOT NULL,
            PRIMARY KEY (model, name))""",
        """CREATE TABLE last_load (
            model TEXT PRIMARY KEY,
            settings TEXT NOT NULL)""",
    ),
)
"""Every room's tables, one step a release that changed them: `user_version` counts the steps taken.
A step that has been released is never changed; the next one is added at the end."""


class StorageError(RigpanelError):
    """What is kept cannot be read or written; the text names the file and what to do."""


class _DamagedError(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    future: Future[T]


class Storage:
    """Runs what is submitted in order, each in a transaction, on a thread of its own.

    Nothing here waits for the disk but `close`. Several processes may use one file, each through
    one Storage: SQLite's locks belong to a process, and looking at the file would drop them.
    """

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._closing = threading.Lock()
        self._closed = False
        self.problems: tuple[str, ...] = ()
        """What was wrong with the file when it was opened, a sentence each; known once the first
        of what was submitted is done."""
        # A disk that never answers must not keep the panel from ending.
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `work` in a transaction after what was submitted before; what it raises undoes it.

        The future raises StorageError where the file could not be used; the next one tries again.
        """
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(StorageError(f"{self._path} has been closed."))
            else:
                self._jobs.put(_Job(work, future))
        return future

    def close(self, timeout_s: float) -> bool:
        """Finish what was submitted and close the file; False if that took longer."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                job.future.set_result(self._transact(job.work))
            except Exception as error:  # noqa: BLE001 - the top of the thread: it goes to who asked
                job.future.set_exception(error)
            del job  # a future kept here would keep its result
        if self._connection is not None:
            self._connection.close()

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            connection = self._connection
            # A write lock from the start: one that reads first and then finds that another
            # process has written in between could only begin again.
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise StorageError(self._sentence(error)) from error
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise StorageError(self._sentence(error)) from error
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        """Open the file, a fresh one where it is damaged, and bring it to this version."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            left_in_use = self._beside("-wal").exists()
            self._path.touch(mode=0o600)  # what people write to a model is theirs alone
            with self._path.open("rb") as file:
                head = file.read(len(MAGIC))
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written ({error.strerror}), so conversations and "
                "profiles are not kept. Make its folder writable."
            ) from error
        # SQLite deletes what lies beside a file that does not begin as its own do.
        if head in (MAGIC, b""):
            try:
                return self._prepared(check=left_in_use)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
        try:
            kept = self._keep_aside()
        except OSError as error:
            raise StorageError(
                f"{self._path} is damaged and could not be renamed ({error.strerror}). Move it "
                "away: rigpanel begins a new one."
            ) from error
        sentence = (
            f"{self._path} was damaged and could not be read: it is kept as {kept.name}, and a "
            "new, empty one was begun."
        )
        log.error(sentence)
        self.problems = (*self.problems, sentence)
        return self._prepared(check=False)

    def _prepared(self, *, check: bool) -> sqlite3.Connection:
        """Connect and migrate; `check` reads all of a file that was not closed in order."""
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            self._begin_wal(connection)
            # Each commit reaches the disk: within a second, also when the power fails.
            connection.execute("PRAGMA synchronous = FULL")
            if check:
                _check_pages(connection)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_wal(self, connection: sqlite3.Connection) -> None:
        """Change the journal once; SQLite does not wait by itself where two do so at a time."""
        deadline_s = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                    raise
                time.sleep(BUSY_PAUSE_S)
            else:
                return

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StorageError(
                    f"{self._path} was written by a newer rigpanel (its version {version}, this "
                    f"one knows {len(MIGRATIONS)}). Start the newer one, or move the file away."
                )
            if version < len(MIGRATIONS):
                for step in MIGRATIONS[version:]:
                    for statement in step:
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _beside(self, ending: str) -> Path:
        return self._path.with_name(self._path.name + ending)

    def _keep_aside(self) -> Path:
        """Rename the file and what SQLite keeps beside it; the new name was free."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        names = (f"-damaged-{stamp}{more}" for more in ("", *(f"-{n}" for n in range(1, 1000))))
        ending = next(name for name in names if not self._beside(name).exists())
        # The log first: beside a new file it would be taken for that file's own.
        for part in ("-wal", "-shm", ""):
            if self._beside(part).exists():
                self._beside(part).rename(self._beside(ending + part))
        return self._beside(ending)

    def _sentence(self, error: sqlite3.Error) -> str:
        code = _primary_code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return (
                f"{self._path} was in use by another program for over {self._busy_timeout_s:g} s, "
                "so nothing was read or saved. Close what uses it and try again."
            )
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return (
                f"{self._path} cannot be opened for writing ({error}), so nothing was saved. "
                "Make it and its folder writable."
            )
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            return (
                f"{self._path} could not be written ({error}), so this was not saved. Make room "
                "on its disk; what was saved before is still there."
            )
        if _is_damage(error):
            return (
                f"{self._path} is damaged ({error}). Export what can still be opened, then move "
                "the file away: rigpanel begins a new one."
            )
        return f"{self._path} could not be used ({error}), so nothing was saved."


def _check_pages(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise _DamagedError("its pages do not fit together")


def storable(text: str) -> str:
    """Return text as SQLite can hold and search it: no NUL, no half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without the extension in its upper bytes; 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_damage(error: sqlite3.Error) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
