"""The tables of ``schema.sql``: records and rows in and out, inside a transaction that somebody else owns.

Runs on the writer's thread or on a reader's, never on the event loop. Opens, commits and publishes nothing. A
command that is refused has written nothing of its own, so it may share a transaction with others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any

from webapp.streams.protocol import forks, records
from webapp.streams.protocol.commands import Append, Create, ForkPoint
from webapp.streams.protocol.forks import Segment
from webapp.streams.protocol.lifetimes import Lifetime
from webapp.streams.protocol.offsets import Offset, Where
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.store import pages
from webapp.streams.store.base import Appended, Created, Page, PageLimit
from webapp.streams.store.pages import Row
from webapp.streams.store.tails import Change

SCHEMA_VERSION = 1

_COLUMNS = (
    "id, path, content_type, position, closed, closed_by_id, closed_by_epoch, closed_by_seq, writer_seq, "
    "ttl, expires_at, deadline, forked_from, fork_generation, fork_position, fork_sub_offset, inherited, "
    "deleted"
)
_SELECT = f"SELECT {_COLUMNS} FROM streams"  # noqa: S608  (constants only)
_INSERT = f"INSERT INTO streams ({_COLUMNS}, source_id) VALUES ({', '.join('?' * 19)})"  # noqa: S608
_UPDATE = """
    UPDATE streams SET position = ?, closed = ?, closed_by_id = ?, closed_by_epoch = ?, closed_by_seq = ?,
        writer_seq = ?, deadline = ? WHERE id = ?
"""


@dataclass(slots=True)
class Transaction:
    """An open write transaction and what it will have changed once it is committed."""

    connection: sqlite3.Connection
    changes: list[Change] = field(default_factory=list)


def install(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty database. Raises ValueError for a database of another version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        script = files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    elif version != SCHEMA_VERSION:
        raise ValueError(f"schema version {version}, expected {SCHEMA_VERSION}")


def find(connection: sqlite3.Connection, path: str) -> StreamRecord | None:
    """The record at ``path``, usable or not."""
    row = connection.execute(f"{_SELECT} WHERE path = ?", (path,)).fetchone()
    return None if row is None else _record(row)


def read(connection: sqlite3.Connection, path: str, where: Where, *, limit: PageLimit, now: float) -> Page:
    """One page, seen in one snapshot."""
    connection.execute("BEGIN")
    try:
        record = records.usable(find(connection, path), now)
        start = record.lineage.position(where, tail=record.position)
        return pages.page(record, start, limit, partial(_rows, connection))
    finally:
        connection.execute("COMMIT")


def create(tx: Transaction, path: str, command: Create, *, now: float) -> Created:
    _sweep(tx, now)
    existing = find(tx.connection, path)
    if existing is not None:
        return Created(records.found(existing, command), new=False)
    source = None if command.fork is None else find(tx.connection, command.fork.source)
    record = records.created(
        path,
        command,
        generation=_next_id(tx.connection),
        source=source,
        boundary=partial(pages.boundary, rows_of=partial(_rows, tx.connection)),
        now=now,
    )
    source_id = None if source is None else source.generation
    tx.connection.execute(_INSERT, (*_columns(record), source_id))
    _add(tx, record, start=record.lineage.start, chunk=command.chunk)
    return Created(record, new=True)


def append(tx: Transaction, path: str, command: Append, *, now: float) -> Appended:
    before = records.usable(find(tx.connection, path), now)
    known = _producer(tx.connection, before.generation, command.producer)
    admission = records.admit(before, command, known=known, now=now)
    record = admission.record
    if not admission.duplicate:
        closed_by = record.closed_by
        tx.connection.execute(
            _UPDATE,
            (
                record.position,
                record.closed,
                *(_NO_TUPLE if closed_by is None else (closed_by.id, closed_by.epoch, closed_by.seq)),
                record.writer_seq,
                record.deadline,
                record.generation,
            ),
        )
        if command.producer is not None:
            _accept(tx.connection, record.generation, command.producer)
        _add(tx, record, start=before.position, chunk=command.chunk)
    return Appended(record, admission.producer, admission.duplicate)


def touch(tx: Transaction, path: str, *, now: float) -> StreamRecord:
    record = records.usable(find(tx.connection, path), now).touched(now)
    change = (record.deadline, record.generation)
    tx.connection.execute("UPDATE streams SET deadline = ? WHERE id = ?", change)
    return record


def delete(tx: Transaction, path: str, *, now: float) -> None:
    _remove(tx, records.usable(find(tx.connection, path), now))


_NO_TUPLE = (None, None, None)


def _add(tx: Transaction, record: StreamRecord, *, start: int, chunk: bytes) -> None:
    """Store what was appended, if anything, and note the change."""
    row = (record.position, chunk) if chunk else None
    if row is not None:
        tx.connection.execute("INSERT INTO chunks VALUES (?, ?, ?)", (record.generation, *row))
    tx.changes.append(Change(record.path, record, start, row))


def _producer(
    connection: sqlite3.Connection, generation: int, incoming: ProducerTuple | None
) -> ProducerTuple | None:
    """The last tuple accepted from the producer of ``incoming``."""
    if incoming is None:
        return None
    found = connection.execute(
        "SELECT epoch, seq FROM producers WHERE stream_id = ? AND id = ?", (generation, incoming.id)
    ).fetchone()
    return None if found is None else ProducerTuple(incoming.id, *found)


def _accept(connection: sqlite3.Connection, generation: int, producer: ProducerTuple) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?)",
        (generation, producer.id, producer.epoch, producer.seq),
    )


def _rows(connection: sqlite3.Connection, segment: Segment) -> Iterable[Row]:
    return connection.execute(
        "SELECT position, data FROM chunks WHERE stream_id = ? AND position > ? ORDER BY position",
        (segment.generation, segment.start),
    )


def _next_id(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'streams'").fetchone()
    return 1 if found is None else int(found[0]) + 1


def _sweep(tx: Transaction, now: float) -> None:
    """Remove what has expired."""
    for row in tx.connection.execute(f"{_SELECT} WHERE deadline <= ? AND NOT deleted", (now,)).fetchall():
        _remove(tx, _record(row))


def _remove(tx: Transaction, record: StreamRecord) -> None:
    """Delete softly while forks read through the stream, else for good and its forsaken sources with it."""
    tx.connection.execute("UPDATE streams SET deleted = 1 WHERE id = ?", (record.generation,))
    tx.changes.append(Change(record.path, None))
    doomed: int | None = record.generation
    while doomed is not None:
        row = tx.connection.execute(
            """SELECT source_id FROM streams AS stream WHERE id = ? AND deleted
               AND NOT EXISTS (SELECT 1 FROM streams AS fork WHERE fork.source_id = stream.id)""",
            (doomed,),
        ).fetchone()
        if row is None:
            return
        tx.connection.execute("DELETE FROM chunks WHERE stream_id = ?", (doomed,))
        tx.connection.execute("DELETE FROM producers WHERE stream_id = ?", (doomed,))
        tx.connection.execute("DELETE FROM streams WHERE id = ?", (doomed,))
        doomed = row[0]


def _record(row: tuple[Any, ...]) -> StreamRecord:
    (
        generation, path, content_type, position, closed, closer, closer_epoch, closer_seq, writer_seq, ttl,
        expires_at, deadline, forked_from, fork_generation, fork_position, sub_offset, inherited, deleted,
    ) = row  # fmt: skip
    fork = None
    if forked_from is not None:
        fork = ForkPoint(forked_from, Offset(fork_generation, fork_position), sub_offset)
    return StreamRecord(
        path=path,
        content_type=content_type,
        lineage=forks.load(generation, inherited),
        position=position,
        closed=bool(closed),
        closed_by=None if closer is None else ProducerTuple(closer, closer_epoch, closer_seq),
        writer_seq=writer_seq,
        lifetime=Lifetime(ttl=ttl, expires_at=expires_at),
        deadline=deadline,
        fork=fork,
        deleted=bool(deleted),
    )


def _columns(record: StreamRecord) -> tuple[Any, ...]:
    closed_by, fork = record.closed_by, record.fork
    offset = None if fork is None else fork.offset
    return (
        record.generation,
        record.path,
        record.content_type,
        record.position,
        record.closed,
        *(_NO_TUPLE if closed_by is None else (closed_by.id, closed_by.epoch, closed_by.seq)),
        record.writer_seq,
        record.lifetime.ttl,
        record.lifetime.expires_at,
        record.deadline,
        None if fork is None else fork.source,
        None if offset is None else offset.generation,
        None if offset is None else offset.position,
        0 if fork is None else fork.sub_offset,
        forks.dump(record.lineage),
        record.deleted,
    )
