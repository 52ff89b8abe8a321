"""Cutting pages out of stored chunks; shared by every store and by the cache of tails.

Pure. A *row* is ``(end, chunk)``: the position after the chunk, and the chunk as it was appended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from webapp.streams.protocol import content
from webapp.streams.protocol.forks import Segment
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.store.base import Page, PageLimit

Row = tuple[int, bytes]

_ONE_APPEND = PageLimit(size=1, units=1)


def page(
    record: StreamRecord, start: int, limit: PageLimit, rows_of: Callable[[Segment], Iterable[Row]]
) -> Page:
    """A page from position ``start``. ``rows_of`` gives the rows that end after a segment's start."""
    chunks: list[bytes] = []
    at, size = start, 0
    units = limit.units if record.is_json else record.position
    for chunk, end in _pieces(record, start, rows_of):
        chunks.append(chunk)
        at = end
        size += len(chunk)
        if size >= limit.size or at - start >= units:
            break
    return Page(
        record=record,
        chunks=tuple(chunks),
        start=record.lineage.offset(start),
        next=record.lineage.offset(at),
    )


def boundary(record: StreamRecord, position: int, rows_of: Callable[[Segment], Iterable[Row]]) -> int:
    """Where the append that holds the unit after ``position`` ends; at the tail, the tail."""
    return page(record, position, _ONE_APPEND, rows_of).next.position


def _pieces(
    record: StreamRecord, start: int, rows_of: Callable[[Segment], Iterable[Row]]
) -> Iterator[tuple[bytes, int]]:
    """Chunks after ``start`` and where each ends, cut where a read or a fork began inside one."""
    json = record.is_json
    for segment in record.lineage.segments(start, record.position):
        first, stop = segment.start, segment.stop
        begin: int | None = None  # a row begins where the one before it ends: only the first is counted
        for end, chunk in rows_of(segment):
            if begin is None:
                begin = end - content.count(chunk, json=json)
            if begin >= stop:
                break
            if begin >= first and end <= stop:
                yield chunk, end
            else:
                low, high = max(begin, first), min(end, stop)
                yield content.cut(chunk, low - begin, high - begin, json=json), high
            begin = end
