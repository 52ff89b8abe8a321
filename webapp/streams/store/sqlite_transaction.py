"""One write transaction: what its commands change, in the fewest statements.

Runs on the writer's thread, inside a transaction that the writer begins and commits. A command that is
refused has changed nothing, so it may share a transaction with others. Nobody else writes to the database,
so what the writer has written lately it need not read again: that is ``Recent``.

A plain append is one row. The stream's own row is written only when more than its tail changes, because the
tail is where its last chunk ends.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import chain
from typing import Generic, TypeVar

from webapp.streams.protocol import records
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.store import pages
from webapp.streams.store import sqlite_tables as tables
from webapp.streams.store.base import Appended, Created
from webapp.streams.store.pages import Row
from webapp.streams.store.tails import Change

K = TypeVar("K")
V = TypeVar("V")

MAX_RECORDS = 2048
MAX_PRODUCERS = 8192

# A statement gives up the interpreter's lock and has to win it back, so a batch is inserted by the fewest:
# one per binary digit of its length.
_INSERTS = [
    (size, f"INSERT INTO chunks VALUES {', '.join(['(?, ?, ?)'] * size)}")  # noqa: S608  (constants)
    for size in (256, 128, 64, 32, 16, 8, 4, 2, 1)
]


class Lately(Generic[K, V]):
    """A mapping that forgets what was not used for longest. Forgetting costs a read, never data."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._items.pop(key, None)
        if found is not None:
            self._items[key] = found
        return found

    def put(self, key: K, value: V) -> None:
        self._items.pop(key, None)
        self._items[key] = value
        if len(self._items) > self._capacity:
            del self._items[next(iter(self._items))]

    def drop(self, key: K) -> None:
        self._items.pop(key, None)

    def clear(self) -> None:
        self._items.clear()


class Recent:
    """What the writer knows without reading. Worth nothing after a transaction that was not committed."""

    def __init__(self) -> None:
        self.records: Lately[str, StreamRecord] = Lately(MAX_RECORDS)
        self.producers: Lately[tuple[int, str], ProducerTuple] = Lately(MAX_PRODUCERS)

    def clear(self) -> None:
        self.records.clear()
        self.producers.clear()


class Transaction:
    """An open write transaction. ``changes`` is what it will have changed once it is committed."""

    def __init__(self, connection: sqlite3.Connection, recent: Recent) -> None:
        self.connection = connection
        self.changes: list[Change] = []
        self._recent = recent
        self._chunks: list[tuple[int, int, bytes]] = []
        self._records: dict[int, StreamRecord] = {}
        self._producers: dict[tuple[int, str], ProducerTuple] = {}

    def create(self, path: str, command: Create, *, now: float) -> Created:
        self.flush()
        self._sweep(now)
        existing = tables.find(self.connection, path)
        if existing is not None:
            return Created(records.found(existing, command), new=False)
        source = None if command.fork is None else tables.find(self.connection, command.fork.source)
        record = records.created(
            path,
            command,
            generation=tables.next_generation(self.connection),
            source=source,
            boundary=partial(pages.boundary, rows_of=partial(tables.rows, self.connection)),
            now=now,
        )
        tables.insert(self.connection, record, source_id=None if source is None else source.generation)
        self._recent.records.put(path, record)
        self._add(record, start=record.lineage.start, chunk=command.chunk)
        return Created(record, new=True)

    def append(self, path: str, command: Append, *, now: float) -> Appended:
        before = records.usable(self._find(path), now)
        known = None
        if command.producer is not None:
            known = self._known_producer(before.generation, command.producer.id)
        admission = records.admit(before, command, known=known, now=now)
        record = admission.record
        if not admission.duplicate:
            if _differ(before, record):
                self._records[record.generation] = record
            self._recent.records.put(path, record)
            if command.producer is not None:
                key = (record.generation, command.producer.id)
                self._producers[key] = command.producer
                self._recent.producers.put(key, command.producer)
            self._add(record, start=before.position, chunk=command.chunk)
        return Appended(record, admission.producer, admission.duplicate)

    def touch(self, path: str, *, now: float) -> StreamRecord:
        record = records.usable(self._find(path), now).touched(now)
        self._records[record.generation] = record
        self._recent.records.put(path, record)
        return record

    def delete(self, path: str, *, now: float) -> None:
        self.flush()
        self._remove(records.usable(tables.find(self.connection, path), now))

    def flush(self) -> None:
        """Write what has gathered."""
        chunks, at = self._chunks, 0
        for size, statement in _INSERTS:
            while len(chunks) - at >= size:
                self.connection.execute(statement, list(chain.from_iterable(chunks[at : at + size])))
                at += size
        for record in self._records.values():
            tables.update(self.connection, record)
        for (generation, _), producer in self._producers.items():
            tables.accept(self.connection, generation, producer)
        self._chunks, self._records, self._producers = [], {}, {}

    def _find(self, path: str) -> StreamRecord | None:
        record = self._recent.records.get(path)
        if record is None:
            # What is not in ``recent`` may have been forgotten in this very transaction.
            self.flush()
            record = tables.find(self.connection, path)
            if record is not None and not record.deleted:  # a deleted one may go with its last fork, unseen
                self._recent.records.put(path, record)
        return record

    def _known_producer(self, generation: int, producer_id: str) -> ProducerTuple | None:
        key = (generation, producer_id)
        known = self._recent.producers.get(key) or self._producers.get(key)
        return known or tables.producer(self.connection, generation, producer_id)

    def _add(self, record: StreamRecord, *, start: int, chunk: bytes) -> None:
        """Store what was appended, if anything, and note the change."""
        row: Row | None = None
        if chunk:
            row = (record.position, chunk)
            self._chunks.append((record.generation, record.position, chunk))
        self.changes.append(Change(record.path, record, start, row))

    def _sweep(self, now: float) -> None:
        """Remove what has expired."""
        for record in tables.expired(self.connection, now):
            self._remove(record)

    def _remove(self, record: StreamRecord) -> None:
        """Delete softly while forks read through the stream, else for good and its forsaken sources too."""
        self._recent.records.drop(record.path)
        self.changes.append(Change(record.path, None))
        tables.delete(self.connection, record)


def _differ(before: StreamRecord, after: StreamRecord) -> bool:
    """Whether more than the tail has changed."""
    return (
        before.closed != after.closed
        or before.closed_by != after.closed_by
        or before.writer_seq != after.writer_seq
        or before.deadline != after.deadline
    )
