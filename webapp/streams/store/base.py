"""The seam under the engine: what any store of streams can do.

A store owns bytes, offsets, producer state, closure, forks and lifetimes. It knows nothing of HTTP, of
requests, or of what a message means. Refusals are the types of ``protocol.errors``.

Reading on without missing anything takes three steps in this order: take a ``ticket``, read, wait for the
ticket. A ticket carries no data; whoever is woken reads again from their own offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from webapp.streams.protocol import content
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.offsets import Offset, Where
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.signals import Signal


@dataclass(frozen=True, slots=True)
class PageLimit:
    """Where a page ends: with the append that reaches ``size`` bytes or ``units`` units."""

    size: int
    units: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some whole appends of a stream, in stored form, and the stream's record when they were read.

    ``start`` and ``next`` are the offsets before and after ``chunks``.
    """

    record: StreamRecord
    chunks: tuple[bytes, ...]
    start: Offset
    next: Offset

    @property
    def content_type(self) -> str:
        return self.record.content_type

    @property
    def empty(self) -> bool:
        return not self.chunks

    @property
    def up_to_date(self) -> bool:
        return self.next.position == self.record.position

    @property
    def closed(self) -> bool:
        """Whether this page ends where the stream does, for ever."""
        return self.record.closed and self.up_to_date

    def body(self) -> bytes:
        """What a read returns for this page."""
        return content.body(self.chunks, json=self.record.is_json)


class Created(msgspec.Struct, frozen=True):
    """``new`` is False if the stream was there already, as asked for."""

    record: StreamRecord
    new: bool


class Appended(msgspec.Struct, frozen=True):
    """The record after a durable append. ``producer`` is the last tuple accepted from the producer."""

    record: StreamRecord
    producer: ProducerTuple | None
    duplicate: bool


class StreamStore(Protocol):
    """Streams by path. Every method that changes something returns only once the change is durable."""

    async def create(self, path: str, command: Create) -> Created:
        """Create the stream, or find it so. Raises StreamConflict, StreamNotFound, InvalidRequest."""
        ...

    async def append(self, path: str, command: Append) -> Appended:
        """Commit data, writer sequence, producer state and closure together, or raise and change nothing."""
        ...

    async def read(self, path: str, where: Where, *, limit: PageLimit) -> Page:
        """One page after ``where``. Raises StreamNotFound, StreamGone, InvalidRequest."""
        ...

    async def head(self, path: str) -> StreamRecord:
        """The record, without counting as a use. Raises StreamNotFound or StreamGone."""
        ...

    async def touch(self, path: str) -> None:
        """Count as a use: a sliding lifetime starts anew. Raises StreamNotFound or StreamGone."""
        ...

    async def delete(self, path: str) -> None:
        """Delete the stream; it stays readable through its forks. Raises StreamNotFound or StreamGone."""
        ...

    def ticket(self, path: str) -> Signal:
        """A wake-up that fires after the next change of the stream. Take it before reading."""
        ...

    async def aclose(self) -> None:
        """Finish what was accepted and let go of files and threads."""
        ...
