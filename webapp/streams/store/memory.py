"""Streams in memory: the reference that other stores are measured against, and a store for tests.

Nothing here awaits, so each method is one step of the event loop and needs no lock. Nothing survives the
process.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter

from msgspec import structs

from webapp.streams.protocol import records
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.forks import Segment
from webapp.streams.protocol.offsets import Where
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.signals import Signal
from webapp.streams.store import pages
from webapp.streams.store.base import Appended, Created, Page, PageLimit
from webapp.streams.store.pages import Row
from webapp.streams.store.tails import Tickets


@dataclass(slots=True)
class _Stream:
    record: StreamRecord
    rows: list[Row] = field(default_factory=list)
    producers: dict[str, ProducerTuple] = field(default_factory=dict)
    source: int | None = None


class MemoryStore:
    """A StreamStore that forgets everything with the process. ``clock`` gives Unix seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tickets = Tickets()
        self._generation = 0
        self._paths: dict[str, int] = {}
        self._streams: dict[int, _Stream] = {}

    async def create(self, path: str, command: Create) -> Created:
        now = self._clock()
        self._sweep(now)
        existing = self._at(path)
        if existing is not None:
            return Created(records.found(existing.record, command), new=False)
        source = None if command.fork is None else self._at(command.fork.source)
        record = records.created(
            path,
            command,
            generation=self._generation + 1,
            source=None if source is None else source.record,
            boundary=partial(pages.boundary, rows_of=self._rows),
            now=now,
        )
        self._generation += 1
        stream = _Stream(record, source=None if source is None else source.record.generation)
        if command.chunk:
            stream.rows.append((record.position, command.chunk))
        self._streams[record.generation] = stream
        self._paths[path] = record.generation
        self._tickets.fire(path)
        return Created(record, new=True)

    async def append(self, path: str, command: Append) -> Appended:
        now = self._clock()
        stream = self._usable(path, now)
        known = None if command.producer is None else stream.producers.get(command.producer.id)
        admission = records.admit(stream.record, command, known=known, now=now)
        if not admission.duplicate:
            stream.record = admission.record
            if command.chunk:
                stream.rows.append((admission.record.position, command.chunk))
            if command.producer is not None:
                stream.producers[command.producer.id] = command.producer
            self._tickets.fire(path)
        return Appended(admission.record, admission.producer, admission.duplicate)

    async def read(self, path: str, where: Where, *, limit: PageLimit) -> Page:
        record = self._usable(path, self._clock()).record
        start = record.lineage.position(where, tail=record.position)
        return pages.page(record, start, limit, self._rows)

    async def head(self, path: str) -> StreamRecord:
        return self._usable(path, self._clock()).record

    async def touch(self, path: str) -> None:
        now = self._clock()
        stream = self._usable(path, now)
        stream.record = stream.record.touched(now)

    async def delete(self, path: str) -> None:
        self._remove(self._usable(path, self._clock()))

    def ticket(self, path: str) -> Signal:
        return self._tickets.take(path)

    async def aclose(self) -> None:
        self._tickets.fire_all()

    def _at(self, path: str) -> _Stream | None:
        generation = self._paths.get(path)
        return None if generation is None else self._streams[generation]

    def _usable(self, path: str, now: float) -> _Stream:
        stream = self._at(path)
        records.usable(None if stream is None else stream.record, now)
        assert stream is not None
        return stream

    def _sweep(self, now: float) -> None:
        expired = [s for s in self._streams.values() if s.record.expired(now) and not s.record.deleted]
        for stream in expired:
            self._remove(stream)

    def _remove(self, stream: _Stream) -> None:
        """Delete softly while forks read through the stream, else for good, and its forsaken sources too."""
        stream.record = structs.replace(stream.record, deleted=True)
        self._tickets.fire(stream.record.path)
        last: _Stream | None = stream
        while last is not None and last.record.deleted and not self._has_forks(last):
            del self._streams[last.record.generation]
            del self._paths[last.record.path]
            last = None if last.source is None else self._streams.get(last.source)

    def _has_forks(self, stream: _Stream) -> bool:
        return any(other.source == stream.record.generation for other in self._streams.values())

    def _rows(self, segment: Segment) -> Iterable[Row]:
        rows = self._streams[segment.generation].rows
        return rows[bisect_right(rows, segment.start, key=itemgetter(0)) :]
