"""Replies as values: every status and header the stream server answers with, in one place.

Pure. Whether to answer is the engine's affair; what a transport adds (CORS, ``Location``) is the mount's.
"""

from __future__ import annotations

import json
import math

from webapp.streams.protocol import caching, content, names, sse
from webapp.streams.protocol.errors import (
    SequenceGap,
    StaleEpoch,
    StreamClosed,
    StreamError,
    StreamsUnavailable,
    Unauthorised,
)
from webapp.streams.protocol.offsets import Offset
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.protocol.records import StreamRecord
from webapp.streams.wire import Headers, WireResponse

METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS"


def created(record: StreamRecord, *, new: bool) -> WireResponse:
    """To a PUT."""
    return WireResponse(
        status=201 if new else 200,
        headers=((names.CONTENT_TYPE, record.content_type), *_tail(record)),
    )


def appended(
    record: StreamRecord, producer: ProducerTuple | None, *, duplicate: bool, close_only: bool
) -> WireResponse:
    """To a POST: 200 tells a producer that this was new, 204 that it had been stored before."""
    headers = _tail(record)
    if producer is not None:
        headers += (
            (names.PRODUCER_EPOCH, str(producer.epoch)),
            (names.PRODUCER_SEQ, str(producer.seq)),
        )
    new_to_producer = producer is not None and not duplicate and not close_only
    return WireResponse(status=200 if new_to_producer else 204, headers=headers)


def deleted() -> WireResponse:
    """To a DELETE."""
    return WireResponse(status=204)


def described(record: StreamRecord) -> WireResponse:
    """To a HEAD."""
    headers: Headers = (
        (names.CONTENT_TYPE, record.content_type),
        *_tail(record),
        (names.CACHE_CONTROL, caching.NO_STORE),
    )
    if record.lifetime.ttl is not None:
        headers += ((names.STREAM_TTL, str(record.lifetime.ttl)),)
    if record.lifetime.expires_at is not None:
        headers += ((names.STREAM_EXPIRES_AT, record.lifetime.expires_at),)
    return WireResponse(status=200, headers=headers)


def page(
    record: StreamRecord,
    chunks: tuple[bytes, ...],
    *,
    start: Offset,
    end: Offset,
    cacheable: bool,
    cursor: str | None = None,
    if_none_match: str | None = None,
) -> WireResponse:
    """To a GET that ends: the data between two offsets. ``cursor`` is for long-polls."""
    position = _position(record, end, cursor)
    headers: Headers = ((names.CONTENT_TYPE, record.content_type), *position)
    if cacheable:
        tag = caching.etag(str(start), str(end), closed=record.closed and end == record.tail)
        caching_headers: Headers = ((names.ETAG, tag), (names.CACHE_CONTROL, caching.REVALIDATE))
        if caching.matches(if_none_match, tag):
            return WireResponse(status=304, headers=caching_headers + position)
        headers += caching_headers
    else:
        headers += ((names.CACHE_CONTROL, caching.NO_STORE),)
    body = content.body(chunks, json=record.is_json)
    return WireResponse(status=200, headers=headers, body=body)


def nothing_yet(record: StreamRecord, *, cursor: str) -> WireResponse:
    """To a long-poll at the tail, when time is up or the stream is closed."""
    headers = (*_position(record, record.tail, cursor), (names.CACHE_CONTROL, caching.NO_STORE))
    return WireResponse(status=204, headers=headers)


def event_stream(content_type: str) -> Headers:
    """The headers of a live SSE reply from a stream of this content type."""
    headers: Headers = (
        (names.CONTENT_TYPE, names.EVENT_STREAM),
        (names.CACHE_CONTROL, caching.LIVE),
        ("X-Accel-Buffering", "no"),
    )
    if sse.is_base64(content_type):
        headers += ((names.SSE_DATA_ENCODING, "base64"),)
    return headers


def refused(error: StreamError) -> WireResponse:
    """To a request that was refused: a sentence, a code, and what the caller needs to go on."""
    headers: Headers = ((names.CONTENT_TYPE, names.JSON), (names.CACHE_CONTROL, caching.NO_STORE))
    match error:
        case Unauthorised():
            headers += ((names.WWW_AUTHENTICATE, "Bearer"),)
        case StreamClosed(tail=tail):
            headers += ((names.STREAM_CLOSED, names.TRUE), (names.STREAM_NEXT_OFFSET, tail))
        case SequenceGap(expected=expected, received=received):
            headers += (
                (names.PRODUCER_EXPECTED_SEQ, str(expected)),
                (names.PRODUCER_RECEIVED_SEQ, str(received)),
            )
        case StaleEpoch(current_epoch=epoch):
            headers += ((names.PRODUCER_EPOCH, str(epoch)),)
        case StreamsUnavailable(retry_after=seconds):
            headers += ((names.RETRY_AFTER, str(max(1, math.ceil(seconds)))),)
    body = json.dumps({"error": str(error), "code": error.code}).encode()
    return WireResponse(status=error.status, headers=headers, body=body)


def method_not_allowed() -> WireResponse:
    body = json.dumps({"error": "A stream does not take this method.", "code": "method-not-allowed"})
    headers: Headers = (
        (names.ALLOW, METHODS),
        (names.CONTENT_TYPE, names.JSON),
        (names.CACHE_CONTROL, caching.NO_STORE),
    )
    return WireResponse(status=405, headers=headers, body=body.encode())


def _tail(record: StreamRecord) -> Headers:
    headers: Headers = ((names.STREAM_NEXT_OFFSET, str(record.tail)),)
    return (*headers, (names.STREAM_CLOSED, names.TRUE)) if record.closed else headers


def _position(record: StreamRecord, end: Offset, cursor: str | None) -> Headers:
    """Where a read has got to."""
    up_to_date = end == record.tail
    headers: Headers = ((names.STREAM_NEXT_OFFSET, str(end)),)
    if up_to_date:
        headers += ((names.STREAM_UP_TO_DATE, names.TRUE),)
    if up_to_date and record.closed:
        headers += ((names.STREAM_CLOSED, names.TRUE),)
    elif cursor is not None:
        headers += ((names.STREAM_CURSOR, cursor),)
    return headers
