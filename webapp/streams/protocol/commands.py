"""Requests as values: what a caller wants, checked for form and nothing else.

``parse_…`` turn a WireRequest into a command and raise InvalidRequest or PayloadTooLarge; whether the stream
agrees is for ``records`` and the store to say. A fault in an append's *body* is kept in the command instead
of raised, because the protocol wants a missing or closed stream reported before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

import msgspec

from webapp.streams.protocol import json_mode, lifetimes, names, offsets, paths, producers
from webapp.streams.protocol.content import is_json
from webapp.streams.protocol.errors import InvalidRequest, StreamError
from webapp.streams.protocol.lifetimes import FOREVER, Lifetime
from webapp.streams.protocol.offsets import Offset, Where
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.wire import WireRequest

_SUB_OFFSET = re.compile(r"0|[1-9][0-9]{0,14}")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(;[ -~]*)?")


class ForkPoint(msgspec.Struct, frozen=True):
    """Where a fork leaves its source: ``sub_offset`` units after ``offset`` (None = the source's tail)."""

    source: str
    offset: Offset | None = None
    sub_offset: int = 0


class Create(msgspec.Struct, frozen=True, kw_only=True):
    """Create a stream, or make sure that it is there. ``content_type`` None means the default or the
    source's.
    """

    content_type: str | None = None
    lifetime: Lifetime = FOREVER
    closed: bool = False
    fork: ForkPoint | None = None
    chunk: bytes = b""


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """Append one chunk, close, or both. ``chunk`` is in stored form (see ``content``); empty means close
    only.

    ``defect`` is what is wrong with the body; it is raised once the stream has been found fit to take it.
    """

    chunk: bytes = b""
    content_type: str | None = None
    producer: ProducerTuple | None = None
    writer_seq: str | None = None
    close: bool = False
    defect: StreamError | None = None


class Live(Enum):
    """How a read goes on once it has reached the tail."""

    NO = ""
    LONG_POLL = names.LIVE_LONG_POLL
    SSE = names.LIVE_SSE


class ReadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a read as they were sent. ``offset`` may be another server's, so it is not parsed."""

    offset: str | None = None
    live: Live = Live.NO
    cursor: str | None = None


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """Read on from ``where``."""

    where: Where = offsets.START
    live: Live = Live.NO
    cursor: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What one append may bring: messages and nesting levels in JSON mode. Bytes are the transport's to
    count.
    """

    max_messages: int
    max_depth: int


def parse_create(request: WireRequest, limits: BodyLimits) -> Create:
    """A PUT."""
    content_type = _content_type(request)
    fork = _fork_point(request)
    chunk = request.body
    # A fork without a content type takes its source's, which is not known here; a body needs one to be read
    # by.
    if chunk and content_type is None and fork is not None:
        raise InvalidRequest("A fork with a body needs a Content-Type.")
    if chunk and is_json(content_type or ""):
        chunk = json_mode.pack(_messages(request.body, limits))
    return Create(
        content_type=content_type,
        lifetime=lifetimes.from_headers(request.headers),
        closed=_closed(request),
        fork=fork,
        chunk=chunk,
    )


def parse_append(request: WireRequest, limits: BodyLimits) -> Append:
    """A POST."""
    close = _closed(request)
    producer = producers.from_headers(request.headers)
    writer_seq = request.headers.get(names.STREAM_SEQ.lower())
    if not request.body:
        if not close:
            raise InvalidRequest("There is nothing to append.")
        return Append(producer=producer, close=True)
    content_type = _content_type(request)
    chunk, defect = request.body, None
    if is_json(content_type or ""):
        try:
            messages = _messages(request.body, limits)
            if not messages:
                raise InvalidRequest("An empty array holds nothing to append.")
            chunk = json_mode.pack(messages)
        except StreamError as error:
            defect = error
    return Append(
        chunk=chunk,
        content_type=content_type,
        producer=producer,
        writer_seq=writer_seq,
        close=close,
        defect=defect,
    )


def parse_read(request: WireRequest) -> Read:
    """A GET."""
    query = parse_query(request)
    return Read(
        where=offsets.START if query.offset is None else offsets.parse(query.offset),
        live=query.live,
        cursor=query.cursor,
        if_none_match=request.headers.get(names.IF_NONE_MATCH.lower()),
    )


def parse_query(request: WireRequest) -> ReadQuery:
    """The parameters of a GET. Raises InvalidRequest for a bad path, repeated ones, or a live read without
    an offset.
    """
    paths.check(request.path)
    offset = _single(request, names.QUERY_OFFSET)
    live_word = _single(request, names.QUERY_LIVE)
    live = {mode.value: mode for mode in (Live.LONG_POLL, Live.SSE)}.get(live_word or "", Live.NO)
    if offset is None and live is not Live.NO:
        raise InvalidRequest("A live read needs an offset.")
    return ReadQuery(offset=offset, live=live, cursor=_single(request, names.QUERY_CURSOR))


def _messages(body: bytes, limits: BodyLimits) -> list[bytes]:
    return json_mode.split(body, max_messages=limits.max_messages, max_depth=limits.max_depth)


def _closed(request: WireRequest) -> bool:
    return request.headers.get(names.STREAM_CLOSED.lower(), "").strip().lower() == names.TRUE


def _single(request: WireRequest, name: str) -> str | None:
    values = [value for key, value in request.query if key == name]
    if len(values) > 1:
        raise InvalidRequest(f"The parameter '{name}' is given more than once.")
    return values[0] if values else None


def _content_type(request: WireRequest) -> str | None:
    value = request.headers.get(names.CONTENT_TYPE.lower())
    if value is None or not value.strip():
        return None
    if _MEDIA_TYPE.fullmatch(value.strip()) is None:
        raise InvalidRequest("The Content-Type is malformed.")
    return value.strip()


def _fork_point(request: WireRequest) -> ForkPoint | None:
    source = request.headers.get(names.STREAM_FORKED_FROM.lower())
    offset = request.headers.get(names.STREAM_FORK_OFFSET.lower())
    sub_offset = request.headers.get(names.STREAM_FORK_SUB_OFFSET.lower())
    if source is None:
        if offset is not None or sub_offset is not None:
            raise InvalidRequest("A fork offset needs Stream-Forked-From.")
        return None
    if sub_offset is not None and _SUB_OFFSET.fullmatch(sub_offset) is None:
        raise InvalidRequest("Stream-Fork-Sub-Offset is not a whole number.")
    where = None if offset is None else offsets.parse(offset)
    return ForkPoint(
        source=paths.check(source),
        offset=where if isinstance(where, Offset) else None,
        sub_offset=int(sub_offset or 0),
    )
