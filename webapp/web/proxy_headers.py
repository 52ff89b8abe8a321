"""What may pass through the stream proxy, in both directions: allow-lists, nothing else.

Pure. The request to the stream is built from scratch: three query parameters and one header of the client get
through. Of the reply, only the protocol's own headers and what caching needs do; cookies, redirects,
encodings and server names of an upstream never reach a browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from webapp.streams.wire import Headers

QUERY_PARAMETERS = frozenset({"offset", "live", "cursor"})
REQUEST_HEADERS = frozenset({"if-none-match"})
RESPONSE_HEADERS = frozenset({"content-type", "etag", "retry-after"})
RESPONSE_PREFIX = "stream-"

CATCH_UP_CACHING = "private, no-cache"
LIVE_CACHING = "no-store"


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
