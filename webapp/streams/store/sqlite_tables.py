"""The tables of ``schema.sql``: records and rows in and out, inside a transaction that somebody else owns.

Runs on the writer's thread or on a reader's, never on the event loop. Opens, commits and publishes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import partial
from importlib.resources import files
from typing import Any

from webapp.streams.protocol import forks, records
from webapp.streams.protocol.commands import ForkPoint
from webapp.streams.protocol.forks import Segment
from webapp.streams.protocol.lifetimes import Lifetime
from webapp.streams.protocol.offsets import Offset, Where
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.store import pages
from webapp.streams.store.base import Page, PageLimit
from webapp.streams.store.pages import Row

SCHEMA_VERSION = 1

_COLUMNS = (
    "id, path, content_type, position, closed, closed_by_id, closed_by_epoch, closed_by_seq, writer_seq, "
    "ttl, expires_at, deadline, forked_from, fork_generation, fork_position, fork_sub_offset, inherited, "
    "deleted"
)
# A plain append writes a chunk and nothing else, so the tail may be further than the stream's own row says.
_TAIL = """
    max(position, coalesce((
        SELECT position FROM chunks WHERE stream_id = streams.id ORDER BY position DESC LIMIT 1), 0))
"""
_SELECT = f"SELECT {_COLUMNS.replace(' position,', f'{_TAIL},', 1)} FROM streams"  # noqa: S608  (constants)
_INSERT = f"INSERT INTO streams ({_COLUMNS}, source_id) VALUES ({', '.join('?' * 19)})"  # noqa: S608
_UPDATE = """
    UPDATE streams SET position = ?, closed = ?, closed_by_id = ?, closed_by_epoch = ?, closed_by_seq = ?,
        writer_seq = ?, deadline = ? WHERE id = ?
"""


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
        return pages.page(record, start, limit, partial(rows, connection))
    finally:
        connection.execute("COMMIT")


def rows(connection: sqlite3.Connection, segment: Segment) -> Iterable[Row]:
    """The rows that end after a segment's start."""
    return connection.execute(
        "SELECT position, data FROM chunks WHERE stream_id = ? AND position > ? ORDER BY position",
        (segment.generation, segment.start),
    )


def next_generation(connection: sqlite3.Connection) -> int:
    """The id of the next stream."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'streams'").fetchone()
    return 1 if found is None else int(found[0]) + 1


def expired(connection: sqlite3.Connection, now: float) -> list[StreamRecord]:
    """Streams whose time is over and that are still there."""
    found = connection.execute(f"{_SELECT} WHERE deadline <= ? AND NOT deleted", (now,)).fetchall()
    return [_record(row) for row in found]


def producer(connection: sqlite3.Connection, generation: int, producer_id: str) -> ProducerTuple | None:
    """The last tuple accepted from the producer."""
    found = connection.execute(
        "SELECT epoch, seq FROM producers WHERE stream_id = ? AND id = ?", (generation, producer_id)
    ).fetchone()
    return None if found is None else ProducerTuple(producer_id, *found)


def accept(connection: sqlite3.Connection, generation: int, producer: ProducerTuple) -> None:
    """Keep the last tuple accepted from a producer."""
    connection.execute(
        "INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?)",
        (generation, producer.id, producer.epoch, producer.seq),
    )


def insert(connection: sqlite3.Connection, record: StreamRecord, *, source_id: int | None) -> None:
    """Add a new stream."""
    connection.execute(_INSERT, (*_columns(record), source_id))


def update(connection: sqlite3.Connection, record: StreamRecord) -> None:
    """Store what can change of a stream."""
    connection.execute(
        _UPDATE,
        (
            record.position,
            record.closed,
            *_tuple(record.closed_by),
            record.writer_seq,
            record.deadline,
            record.generation,
        ),
    )


def delete(connection: sqlite3.Connection, record: StreamRecord) -> None:
    """Delete softly while forks read through the stream, else for good and its forsaken sources with it."""
    connection.execute("UPDATE streams SET deleted = 1 WHERE id = ?", (record.generation,))
    doomed: int | None = record.generation
    while doomed is not None:
        row = connection.execute(
            """SELECT source_id FROM streams AS stream WHERE id = ? AND deleted
               AND NOT EXISTS (SELECT 1 FROM streams AS fork WHERE fork.source_id = stream.id)""",
            (doomed,),
        ).fetchone()
        if row is None:
            return
        connection.execute("DELETE FROM chunks WHERE stream_id = ?", (doomed,))
        connection.execute("DELETE FROM producers WHERE stream_id = ?", (doomed,))
        connection.execute("DELETE FROM streams WHERE id = ?", (doomed,))
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
    fork = record.fork
    offset = None if fork is None else fork.offset
    return (
        record.generation,
        record.path,
        record.content_type,
        record.position,
        record.closed,
        *_tuple(record.closed_by),
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


def _tuple(producer: ProducerTuple | None) -> tuple[str, int, int] | tuple[None, None, None]:
    return (None, None, None) if producer is None else (producer.id, producer.epoch, producer.seq)
