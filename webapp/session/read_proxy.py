"""The response to those who read: the session's stream itself, from an offset, live or not.

Owns making a stream that nobody has written to yet. What passes through is ``webapp.streams.proxy``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from webapp.session.chunks import ensure_durable_chat_session_stream
from webapp.session.replies import WRITE_TIMEOUT, told
from webapp.session.streams import AnyStream, DurableStream, opened
from webapp.streams.asgi import ASGIScope, Receive, Responder, Send
from webapp.streams.clients.base import StreamError, StreamNotFound
from webapp.streams.proxy import proxied, read_request
from webapp.streams.wire import WireRequest, WireResponse


def to_durable_stream_read_response(
    stream: AnyStream, *, headers: Mapping[str, str] | None = None
) -> DurableStreamRead:
    """The stream as a browser may read it: the GET route beside the one that sends.

    The request's ``offset``, ``live`` (``sse`` or ``long-poll``) and ``cursor`` mean what the Durable Streams
    protocol says; nothing else of the query, and no header but ``If-None-Match``, reaches the stream server,
    and only the protocol's own headers come back. A stream that does not exist yet is created if the stream
    says ``create_if_missing``, so that a reader waits for the first write instead of failing. ``headers`` are
    added to the response. Errors are those of ``to_error_response``.

    Who may read the stream is for the app to decide before.
    """
    return DurableStreamRead(stream, headers or {})


class DurableStreamRead:
    """An ASGI app that answers one read."""

    def __init__(self, stream: AnyStream, headers: Mapping[str, str]) -> None:
        self._stream = stream
        self._headers = tuple(headers.items())

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        async with opened(self._stream, to_read=True) as place:
            client_headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
            wanted = read_request(
                scope["method"],
                place.path,
                query=scope["query_string"].decode("latin-1"),
                headers={name: value.decode("latin-1") for name, value in client_headers.items()},
            )
            answer = partial(self._answer, place, wanted)
            respond = Responder(answer, write_timeout=WRITE_TIMEOUT, headers=self._headers)
            await respond(scope, receive, send)

    async def _answer(self, place: DurableStream, wanted: WireRequest) -> WireResponse:
        try:
            try:
                return await proxied(place.client, wanted)
            except StreamNotFound:
                if not place.create_if_missing:
                    raise
                await ensure_durable_chat_session_stream(self._stream)
                return await proxied(place.client, wanted)
        except StreamError as error:
            return told(error)
