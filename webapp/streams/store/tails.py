"""The ends of streams in memory: wake-ups, and a small cache of what was appended last.

Everything here runs on the event loop and is told of changes only after they are durable. A live reader at
the tail is served from here, so a hundred of them cost no disk access. Losing a cached tail costs a read,
never data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from weakref import WeakValueDictionary

import msgspec
from msgspec import structs

from webapp.streams.protocol.errors import StreamError
from webapp.streams.protocol.forks import Segment
from webapp.streams.protocol.offsets import Where
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.signals import Signal
from webapp.streams.store import pages
from webapp.streams.store.base import Page, PageLimit
from webapp.streams.store.pages import Row

MAX_STREAMS = 512
MAX_BYTES = 64 * 1024
"""Kept per stream. An append larger than this is read from disk."""


class Tickets:
    """One signal per path for as long as somebody holds it."""

    def __init__(self) -> None:
        self._signals: WeakValueDictionary[str, Signal] = WeakValueDictionary()

    def take(self, path: str) -> Signal:
        """The signal that the next change of ``path`` will fire."""
        signal = self._signals.get(path)
        if signal is None:
            signal = self._signals[path] = Signal()
        return signal

    def fire(self, path: str) -> None:
        """Wake whoever holds a ticket of ``path``; the next ticket is a new one."""
        signal = self._signals.pop(path, None)
        if signal is not None:
            signal.fire()

    def fire_all(self) -> None:
        for path in list(self._signals):
            self.fire(path)


class Change(msgspec.Struct, frozen=True):
    """One durable change: the record after it and the row that was appended, which began at ``start``.

    ``record`` None: the stream is gone, or of no further use in memory.
    """

    path: str
    record: StreamRecord | None
    start: int = 0
    row: Row | None = None


@dataclass(slots=True)
class _Tail:
    record: StreamRecord
    start: int
    rows: list[Row] = field(default_factory=list)
    size: int = 0
    _page: tuple[int, PageLimit, Page] | None = None

    def page(self, start: int, limit: PageLimit) -> Page:
        """A page from ``start``. Readers woken together ask for the same one, so the last one is kept."""
        if self._page is not None:
            page_start, page_limit, page = self._page
            if page_start == start and page_limit is limit and page.record is self.record:
                return page
        page = pages.page(self.record, start, limit, self.rows_of)
        self._page = (start, limit, page)
        return page

    def push(self, row: Row) -> None:
        self.rows.append(row)
        self.size += len(row[1])
        dropped = 0
        while self.size > MAX_BYTES:
            end, chunk = self.rows[dropped]
            self.size -= len(chunk)
            self.start = end
            dropped += 1
        del self.rows[:dropped]

    def rows_of(self, segment: Segment) -> Iterable[Row]:
        return self.rows[bisect_right(self.rows, segment.start, key=itemgetter(0)) :]


class Tails:
    """Records and last rows of the streams used most recently."""

    def __init__(self) -> None:
        self.tickets = Tickets()
        self.removals = 0
        self._tails: OrderedDict[str, _Tail] = OrderedDict()

    def publish(self, changes: Iterable[Change]) -> None:
        """Make durable changes visible and wake their readers."""
        for change in changes:
            self._apply(change)
            self.tickets.fire(change.path)

    def learn(self, record: StreamRecord, *, removals: int) -> None:
        """Keep a record read from disk, unless a newer one is here or may have been since ``removals``."""
        if record.path not in self._tails and removals == self.removals:
            self._keep(record.path, _Tail(record, record.position))

    def record(self, path: str) -> StreamRecord | None:
        tail = self._tails.get(path)
        return None if tail is None else tail.record

    def read(self, path: str, where: Where, limit: PageLimit) -> Page | None:
        """A page, if all of it is here and the offset makes sense here; the disk has the last word."""
        tail = self._tails.get(path)
        if tail is None:
            return None
        self._tails.move_to_end(path)
        try:
            start = tail.record.lineage.position(where, tail=tail.record.position)
        except StreamError:
            return None
        return None if start < tail.start else tail.page(start, limit)

    def touch(self, record: StreamRecord) -> None:
        """Take over the later deadline of ``record``. In all else a newer one may be here by now."""
        tail = self._tails.get(record.path)
        if tail is None or tail.record.generation != record.generation or record.deadline is None:
            return
        if tail.record.deadline is None or tail.record.deadline < record.deadline:
            tail.record = structs.replace(tail.record, deadline=record.deadline)

    def forget(self) -> None:
        """Drop all that is cached and wake everyone: what is on disk has to be looked at anew."""
        self.removals += 1
        self._tails.clear()
        self.tickets.fire_all()

    def _apply(self, change: Change) -> None:
        if change.record is None:
            self._tails.pop(change.path, None)
            self.removals += 1
            return
        tail = self._tails.get(change.path)
        if tail is None or tail.record.generation != change.record.generation:
            tail = _Tail(change.record, change.record.position if change.row is None else change.start)
            self._keep(change.path, tail)
        tail.record = change.record
        if change.row is not None:
            tail.push(change.row)

    def _keep(self, path: str, tail: _Tail) -> None:
        self._tails[path] = tail
        self._tails.move_to_end(path)
        while len(self._tails) > MAX_STREAMS:
            self._tails.popitem(last=False)
            self.removals += 1
