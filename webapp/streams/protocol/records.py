"""What a store knows of a stream besides its data, and the rules that change it.

A ``StreamRecord`` is a value: the rules return a new one and never touch data, so that every store decides
alike and a refused command has changed nothing. The order of checks is the protocol's (section 5.2): gone,
closed, content type, producer, writer sequence, body.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import structs

from webapp.streams.protocol import content, names, producers
from webapp.streams.protocol.commands import Append, Create, ForkPoint
from webapp.streams.protocol.errors import (
    InvalidRequest,
    StreamClosed,
    StreamConflict,
    StreamGone,
    StreamNotFound,
)
from webapp.streams.protocol.forks import Lineage
from webapp.streams.protocol.lifetimes import FOREVER, Lifetime
from webapp.streams.protocol.offsets import Offset
from webapp.streams.protocol.producers import ProducerTuple


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One incarnation of a stream. ``position`` is its tail; ``deadline`` is in Unix seconds."""

    path: str
    content_type: str
    lineage: Lineage
    position: int = 0
    closed: bool = False
    closed_by: ProducerTuple | None = None
    writer_seq: str | None = None
    lifetime: Lifetime = FOREVER
    deadline: float | None = None
    fork: ForkPoint | None = None
    deleted: bool = False

    @property
    def generation(self) -> int:
        return self.lineage.generation

    @property
    def tail(self) -> Offset:
        return self.lineage.offset(self.position)

    @property
    def is_json(self) -> bool:
        return content.is_json(self.content_type)

    def expired(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def touched(self, now: float) -> StreamRecord:
        """This record after a use at ``now``: a sliding lifetime starts anew."""
        if self.lifetime.ttl is None:
            return self
        return structs.replace(self, deadline=self.lifetime.deadline(now))


class Admission(msgspec.Struct, frozen=True):
    """What an append does: the record after it, or, if ``duplicate``, the record as it is.

    ``producer`` is the last tuple accepted from the producer, for the reply.
    """

    record: StreamRecord
    producer: ProducerTuple | None
    duplicate: bool = False


def usable(record: StreamRecord | None, now: float) -> StreamRecord:
    """The record, if a caller may use the stream. Raises StreamNotFound or StreamGone."""
    if record is None:
        raise StreamNotFound()
    if record.deleted:
        raise StreamGone()
    if record.expired(now):
        raise StreamNotFound()
    return record


def admit(record: StreamRecord, append: Append, *, known: ProducerTuple | None, now: float) -> Admission:
    """Judge an append to a usable stream; ``known`` is the last tuple accepted from its producer."""
    incoming = append.producer
    if record.closed:
        repeated = incoming is not None and incoming == record.closed_by
        if repeated or (append.close and not append.chunk and incoming is None):
            return Admission(record, known, duplicate=True)
        raise StreamClosed(tail=str(record.tail))
    if append.chunk or append.defect:
        if append.content_type is None:
            raise InvalidRequest("An append with a body needs a Content-Type.")
        if content.media_type(append.content_type) != content.media_type(record.content_type):
            raise StreamConflict(f"The stream holds {record.content_type}.")
    if incoming is not None and producers.is_duplicate(known, incoming):
        return Admission(record, known, duplicate=True)
    if append.writer_seq is not None and not _follows(append.writer_seq, record.writer_seq):
        raise StreamConflict("Stream-Seq must grow.")
    if append.defect is not None:
        raise append.defect
    after = structs.replace(
        record,
        position=record.position + grown(record, append.chunk),
        closed=append.close,
        closed_by=incoming if append.close else None,
        writer_seq=append.writer_seq if append.writer_seq is not None else record.writer_seq,
    )
    return Admission(after.touched(now), incoming)


def grown(record: StreamRecord, chunk: bytes) -> int:
    """How many units ``chunk`` adds to the stream."""
    return content.count(chunk, json=record.is_json) if chunk else 0


def found(record: StreamRecord, create: Create) -> StreamRecord:
    """The existing record, if it is what ``create`` asks for; raises StreamConflict if it is not."""
    wanted_type = create.content_type
    if wanted_type is None:
        wanted_type = record.content_type if create.fork is not None else names.OCTET_STREAM
    lifetime = create.lifetime
    if lifetime == FOREVER and create.fork is not None:
        lifetime = record.lifetime
    same = (
        not record.deleted
        and content.media_type(wanted_type) == content.media_type(record.content_type)
        and lifetime.same(record.lifetime)
        and create.closed == record.closed
        and _same_fork(create.fork, record.fork)
    )
    if not same:
        raise StreamConflict("A stream of this name exists with another configuration.")
    return record


def created(
    path: str,
    create: Create,
    *,
    generation: int,
    source: StreamRecord | None,
    boundary: Callable[[StreamRecord, int], int],
    now: float,
) -> StreamRecord:
    """The record of a new stream; ``source`` is the stream to fork, if it is there.

    ``boundary(source, position)`` is where the append that holds the unit after ``position`` ends. Raises
    StreamNotFound or StreamConflict for a source that cannot be forked, and InvalidRequest for a fork point
    outside it.
    """
    content_type = create.content_type or names.OCTET_STREAM
    lifetime = create.lifetime
    lineage = Lineage(generation)
    fork = create.fork
    if fork is not None:
        source = _forkable(source, now)
        content_type = create.content_type or source.content_type
        if content.media_type(content_type) != content.media_type(source.content_type):
            raise StreamConflict(f"The source holds {source.content_type}.")
        position = _fork_position(fork, source, boundary)
        lineage = source.lineage.branch(position, generation=generation)
        lifetime = source.lifetime if lifetime == FOREVER else lifetime
        fork = ForkPoint(fork.source, source.lineage.offset(position - fork.sub_offset), fork.sub_offset)
    record = StreamRecord(
        path=path,
        content_type=content_type,
        lineage=lineage,
        position=lineage.start,
        closed=create.closed,
        lifetime=lifetime,
        deadline=lifetime.deadline(now),
        fork=fork,
    )
    return structs.replace(record, position=record.position + grown(record, create.chunk))


def _forkable(source: StreamRecord | None, now: float) -> StreamRecord:
    try:
        return usable(source, now)
    except StreamGone:
        raise StreamConflict("The source stream has been deleted.") from None


def _fork_position(
    fork: ForkPoint, source: StreamRecord, boundary: Callable[[StreamRecord, int], int]
) -> int:
    position = source.position
    if fork.offset is not None:
        try:
            position = source.lineage.position(fork.offset, tail=source.position)
        except StreamGone:
            raise InvalidRequest("The fork offset is not one of the source stream.") from None
    if fork.sub_offset and position + fork.sub_offset > boundary(source, position):
        raise InvalidRequest("The fork sub-offset reaches beyond the append that it begins in.")
    return position + fork.sub_offset


def _same_fork(wanted: ForkPoint | None, actual: ForkPoint | None) -> bool:
    if wanted is None or actual is None:
        return wanted is actual
    if wanted.source != actual.source or wanted.sub_offset != actual.sub_offset:
        return False
    if wanted.offset is None or wanted.offset == actual.offset:
        return True
    return wanted.offset.position == 0 and actual.offset is not None and actual.offset.position == 0


def _follows(seq: str, last: str | None) -> bool:
    # Bytes, not characters: the protocol compares what was sent.
    return last is None or seq.encode() > last.encode()
