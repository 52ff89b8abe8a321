"""Streams in one SQLite file: durable when acknowledged, and owned by one process.

Changes go to the writer's thread (``sqlite_writer``) and come back after their commit. Reads are served from
the cached tails or from read connections on threads of their own, so the event loop never waits for the disk.

    StoreError
    ├── DataDirectoryInUse    another process has the data directory open
    └── StoreDamaged          the file is no sound database of this version
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from webapp.streams.protocol import records
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.errors import StreamError, StreamNotFound, StreamsUnavailable
from webapp.streams.protocol.offsets import Where
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.signals import Signal
from webapp.streams.store import sqlite_tables as tables
from webapp.streams.store.base import Appended, Created, Page, PageLimit
from webapp.streams.store.sqlite_writer import Writer
from webapp.streams.store.tails import Tails

FILE_NAME = "streams.sqlite3"
LOCK_NAME = "streams.lock"
READERS = 4
BUSY_SECONDS = 5.0
CHECKPOINT_PAGES = 4000
"""Of 4 KiB. A busy page is written to the log many times and copied to the database once per checkpoint."""

Result = TypeVar("Result")


class StoreError(Exception):
    """Why a store cannot be opened, in one line."""


class DataDirectoryInUse(StoreError):
    def __init__(self, directory: Path, holder: str) -> None:
        by = f"process {holder}" if holder else "another process"
        super().__init__(f"The data directory {directory} is in use by {by}; one process may have it open.")
        self.directory = directory


class StoreDamaged(StoreError):
    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"The stream database {file} cannot be used: {reason}")
        self.file = file


class SqliteStore:
    """A StreamStore on disk. Make one with ``open``; use it from one event loop."""

    def __init__(
        self,
        file: Path,
        *,
        lock: IO[str],
        connection: sqlite3.Connection,
        clock: Callable[[], float],
        committed: Callable[[], None],
    ) -> None:
        self._file = file
        self._lock = lock
        self._clock = clock
        self._tails = Tails()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="streams-reader")
        self._reading: dict[tuple[Hashable, ...], asyncio.Future[Page]] = {}
        self._local = threading.local()
        # The last connection to close takes the log and its index along, and opening them again needs space.
        # One is always open, so that a writer that gives up its own on a full disk leaves readers theirs.
        self._connections = [_connect_reader(file)]
        self._writer = Writer(
            connection,
            connect=partial(_connect, file),
            publish=self._tails.publish,
            forget=self._tails.forget,
            committed=committed,
        )

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        clock: Callable[[], float] = time.time,
        committed: Callable[[], None] = lambda: None,
    ) -> SqliteStore:
        """Lock ``data_dir`` (made if missing), check the database in it, and start the writer.

        ``clock`` gives Unix seconds. ``committed`` is a failpoint between a commit and its acknowledgement.
        Raises DataDirectoryInUse or StoreDamaged.
        """
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = _lock(data_dir)
        try:
            connection = _check(data_dir / FILE_NAME)
        except BaseException:
            lock.close()
            raise
        return cls(data_dir / FILE_NAME, lock=lock, connection=connection, clock=clock, committed=committed)

    async def create(self, path: str, command: Create) -> Created:
        return await self._writer.submit(lambda tx: tx.create(path, command, now=self._clock()))

    async def append(self, path: str, command: Append) -> Appended:
        return await self._writer.submit(lambda tx: tx.append(path, command, now=self._clock()))

    async def delete(self, path: str) -> None:
        await self._writer.submit(lambda tx: tx.delete(path, now=self._clock()))

    async def touch(self, path: str) -> None:
        self._tails.touch(await self._writer.submit(lambda tx: tx.touch(path, now=self._clock())))

    async def read(self, path: str, where: Where, *, limit: PageLimit) -> Page:
        known = self._tails.record(path)
        if known is not None:
            records.usable(known, self._clock())
            page = self._tails.read(path, where, limit)
            if page is not None:
                return page
        removals = self._tails.removals
        page = await self._read_once(path, where, limit, known)
        self._tails.learn(page.record, removals=removals)
        return page

    async def head(self, path: str) -> StreamRecord:
        record = self._tails.record(path)
        if record is None:
            removals = self._tails.removals
            record = await self._on_disk(lambda c: tables.find(c, path))
            if record is None:
                raise StreamNotFound()
            if not record.deleted:
                self._tails.learn(record, removals=removals)
        return records.usable(record, self._clock())

    def ticket(self, path: str) -> Signal:
        return self._tails.tickets.take(path)

    async def aclose(self) -> None:
        await self._writer.aclose()
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._tails.forget()
        self._lock.close()

    async def _read_once(self, path: str, where: Where, limit: PageLimit, known: StreamRecord | None) -> Page:
        """The page from disk. A crowd that catches up asks for the same ones at once, and shares them.

        Not across a change that is known here: nobody gets a page older than what they have seen.
        """
        now = self._clock()
        query = partial(tables.read, path=path, where=where, limit=limit, now=now)
        if known is None:
            return await self._on_disk(query)
        key = (path, known.generation, known.position, known.closed, where, limit)
        with _readable():
            reading = self._reading.get(key)
            if reading is None:
                reading = self._reading[key] = self._submit(query)
                reading.add_done_callback(lambda _: self._reading.pop(key))
            return await asyncio.shield(reading)

    async def _on_disk(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        with _readable():
            return await self._submit(query)

    def _submit(self, query: Callable[[sqlite3.Connection], Result]) -> asyncio.Future[Result]:
        """Run ``query`` on a read connection of its own thread."""
        return asyncio.get_running_loop().run_in_executor(self._readers, self._query, query)

    def _query(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect_reader(self._file)
            self._connections.append(connection)
        return query(connection)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except StreamError:
        raise
    except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: the pool is closed
        raise StreamsUnavailable("The stream store could not be read.") from error


def _connect(file: Path) -> sqlite3.Connection:
    # Threads hand a connection over only when its thread has ended, which the module cannot know.
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _connect_reader(file: Path) -> sqlite3.Connection:
    connection = _connect(file)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _check(file: Path) -> sqlite3.Connection:
    """A connection to a database known to be sound."""
    connection = None
    try:
        connection = _connect(file)
        report = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if report != "ok":
            raise ValueError(report)
        tables.install(connection)
    except (sqlite3.Error, ValueError) as error:
        if connection is not None:
            connection.close()
        raise StoreDamaged(file, str(error)) from error
    return connection


def _lock(data_dir: Path) -> IO[str]:
    """Take the data directory for this process; the lock goes with the file, however the process ends."""
    lock = (data_dir / LOCK_NAME).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip()
        lock.close()
        raise DataDirectoryInUse(data_dir, holder) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
