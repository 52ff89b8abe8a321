"""Every header, query parameter and fixed word of the protocol, spelt once.

Owns spelling only. Header names are given as they are sent; requests carry them in lower case.
"""

from __future__ import annotations

from typing import Final

CONTENT_TYPE: Final = "Content-Type"
CACHE_CONTROL: Final = "Cache-Control"
ETAG: Final = "ETag"
IF_NONE_MATCH: Final = "If-None-Match"
LOCATION: Final = "Location"
ALLOW: Final = "Allow"
RETRY_AFTER: Final = "Retry-After"
AUTHORIZATION: Final = "Authorization"
WWW_AUTHENTICATE: Final = "WWW-Authenticate"

STREAM_NEXT_OFFSET: Final = "Stream-Next-Offset"
STREAM_CURSOR: Final = "Stream-Cursor"
STREAM_UP_TO_DATE: Final = "Stream-Up-To-Date"
STREAM_CLOSED: Final = "Stream-Closed"
STREAM_SEQ: Final = "Stream-Seq"
STREAM_TTL: Final = "Stream-TTL"
STREAM_EXPIRES_AT: Final = "Stream-Expires-At"
STREAM_FORKED_FROM: Final = "Stream-Forked-From"
STREAM_FORK_OFFSET: Final = "Stream-Fork-Offset"
STREAM_FORK_SUB_OFFSET: Final = "Stream-Fork-Sub-Offset"
SSE_DATA_ENCODING: Final = "Stream-SSE-Data-Encoding"

PRODUCER_ID: Final = "Producer-Id"
PRODUCER_EPOCH: Final = "Producer-Epoch"
PRODUCER_SEQ: Final = "Producer-Seq"
PRODUCER_EXPECTED_SEQ: Final = "Producer-Expected-Seq"
PRODUCER_RECEIVED_SEQ: Final = "Producer-Received-Seq"

QUERY_OFFSET: Final = "offset"
QUERY_LIVE: Final = "live"
QUERY_CURSOR: Final = "cursor"

LIVE_LONG_POLL: Final = "long-poll"
LIVE_SSE: Final = "sse"

OFFSET_BEGINNING: Final = "-1"
OFFSET_NOW: Final = "now"

TRUE: Final = "true"
JSON: Final = "application/json"
OCTET_STREAM: Final = "application/octet-stream"
EVENT_STREAM: Final = "text/event-stream"

RESERVED_PREFIX: Final = "__ds"

EXPOSED_HEADERS: Final = (
    STREAM_NEXT_OFFSET,
    STREAM_CURSOR,
    STREAM_UP_TO_DATE,
    STREAM_CLOSED,
    STREAM_TTL,
    STREAM_EXPIRES_AT,
    SSE_DATA_ENCODING,
    PRODUCER_EPOCH,
    PRODUCER_SEQ,
    PRODUCER_EXPECTED_SEQ,
    PRODUCER_RECEIVED_SEQ,
    ETAG,
    CONTENT_TYPE,
    LOCATION,
    RETRY_AFTER,
)
"""What a browser on another origin may read of a reply."""

REQUEST_HEADERS: Final = (
    CONTENT_TYPE,
    AUTHORIZATION,
    IF_NONE_MATCH,
    STREAM_SEQ,
    STREAM_TTL,
    STREAM_EXPIRES_AT,
    STREAM_CLOSED,
    STREAM_FORKED_FROM,
    STREAM_FORK_OFFSET,
    STREAM_FORK_SUB_OFFSET,
    PRODUCER_ID,
    PRODUCER_EPOCH,
    PRODUCER_SEQ,
)
"""What a browser on another origin may send."""
