"""Reads a stream on behalf of a browser. What may pass is listed, in both directions; nothing else does.

The request to the stream is built from scratch: three query parameters and one header of the client get
through. Of the reply, only the protocol's own headers and what caching needs do; cookies, redirects,
encodings and server names of an upstream never reach a browser, and a refusal is an error in our own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from webapp.streams.clients.base import (
    InvalidRequest,
    StreamClient,
    StreamGone,
    StreamNotFound,
    StreamsUnavailable,
)
from webapp.streams.wire import Headers, WireRequest, WireResponse

QUERY_PARAMETERS = frozenset({"offset", "live", "cursor"})
REQUEST_HEADERS = frozenset({"if-none-match"})
RESPONSE_HEADERS = frozenset({"content-type", "etag", "retry-after"})
RESPONSE_PREFIX = "stream-"

CATCH_UP_CACHING = "private, no-cache"
LIVE_CACHING = "no-store"

_ANSWERS = frozenset({200, 204, 304})


def read_request(method: str, path: str, *, query: str, headers: Mapping[str, str]) -> WireRequest:
    """The read of the stream at ``path`` that a client with this ``query`` and these ``headers`` wants."""
    return WireRequest(
        method=method,
        path=path,
        query=allowed_query(parse_qsl(query, keep_blank_values=True)),
        headers=allowed_request_headers(headers),
    )


def is_live(request: WireRequest) -> bool:
    """Whether the reply may take its time."""
    return any(name == "live" for name, _ in request.query)


async def proxied(client: StreamClient, request: WireRequest) -> WireResponse:
    """The stream's reply, for the browser. Raises InvalidRequest, StreamNotFound, StreamGone or
    StreamsUnavailable for anything that is no answer to a read, a redirect too.
    """
    reply = await client.forward(request)
    if reply.status not in _ANSWERS:
        raise _refusal(reply)
    headers = allowed_response_headers(reply.headers, live=is_live(request))
    return WireResponse(status=reply.status, headers=headers, body=reply.body)


def allowed_query(query: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The parameters that go to the stream. Repeated ones stay, so that the engine can refuse them."""
    return tuple((name, value) for name, value in query if name in QUERY_PARAMETERS)


def allowed_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's headers that go to the stream, by lower-case name."""
    return {name: headers[name] for name in sorted(REQUEST_HEADERS) if name in headers}


def allowed_response_headers(headers: Headers, *, live: bool) -> Headers:
    """The reply's headers for the browser, plus our own caching and the hint that stops proxies buffering.

    Without ``live`` the reply may be kept by the browser and must be revalidated, which its ETag makes cheap.
    """
    kept = tuple(
        (name, value)
        for name, value in headers
        if name.lower() in RESPONSE_HEADERS or name.lower().startswith(RESPONSE_PREFIX)
    )
    caching = LIVE_CACHING if live else CATCH_UP_CACHING
    return (*kept, ("Cache-Control", caching), ("X-Accel-Buffering", "no"))


def _refusal(reply: WireResponse) -> Exception:
    match reply.status:
        case 400:
            return InvalidRequest("the stream server refused the read")
        case 404:
            return StreamNotFound()
        case 410:
            return StreamGone()
        case status:
            wait = reply.header("Retry-After") or ""
            seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 5 else 1
            return StreamsUnavailable(f"the stream server answered {status}", retry_after=seconds)
