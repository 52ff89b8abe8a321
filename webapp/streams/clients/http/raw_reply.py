"""A read passed through: the request to the server built from scratch, its reply as it came.

Owns what may pass in either direction and how much of a reply is held. Must not know what is in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from webapp.streams.clients.http import remote_page
from webapp.streams.clients.http.refusals import Reply
from webapp.streams.clients.http.upstream import Call, Incoming, Upstream
from webapp.streams.protocol import names
from webapp.streams.wire import Headers, WireRequest, WireResponse

_QUERY = (names.QUERY_OFFSET, names.QUERY_LIVE, names.QUERY_CURSOR)

_PASSED_BACK = {
    name.lower(): name
    for name in (
        names.CONTENT_TYPE,
        names.STREAM_NEXT_OFFSET,
        names.STREAM_UP_TO_DATE,
        names.STREAM_CLOSED,
        names.STREAM_CURSOR,
        names.STREAM_TTL,
        names.STREAM_EXPIRES_AT,
        names.ETAG,
        names.CACHE_CONTROL,
        names.RETRY_AFTER,
    )
}


async def pass_on(
    upstream: Upstream, request: WireRequest, *, pause: float | None, held: int
) -> WireResponse:
    """The server's reply to a read, whatever its status. Raises StreamsUnavailable if there is none, and
    StreamGone if it is of another stream than the reader's offset.

    ``pause`` is for ``Call``. Up to ``held`` bytes are read before anything is passed on, so that a cut on
    the way can be mended by asking again.
    """
    headers = {}
    tags = request.headers.get(names.IF_NONE_MATCH.lower(), "")
    if tags and tags.isascii() and tags.isprintable():
        headers[names.IF_NONE_MATCH] = tags
    call = Call(
        method=request.method,
        path=request.path,
        query=tuple(item for item in request.query if item[0] in _QUERY),
        headers=headers,
        pause=pause,
    )
    offset = dict(call.query).get(names.QUERY_OFFSET, names.OFFSET_BEGINNING)

    async def once() -> WireResponse:
        incoming = await upstream.open(call)
        try:
            next_offset = incoming.headers.get(names.STREAM_NEXT_OFFSET.lower())
            if next_offset and call.method == "GET":
                remote_page.check_goes_on(offset, next_offset)
            begun = await _begin(incoming, held)
        except BaseException:
            await incoming.aclose()
            raise
        body: bytes | RawBody = RawBody(begun, incoming)
        if len(begun) < held:
            await incoming.aclose()
            body = begun
        return WireResponse(status=incoming.status, headers=_headers(incoming.headers), body=body)

    return await upstream.patiently(once)


def passed(reply: Reply) -> WireResponse:
    """A whole reply passed on."""
    return WireResponse(status=reply.status, headers=_headers(reply.headers), body=reply.body)


class RawBody(AsyncIterator[bytes]):
    """A body too large to hold: what has been read of it, then the rest as it comes. Must be closed, also if
    it was never iterated (a generator could not promise that).
    """

    def __init__(self, begun: bytes, incoming: Incoming) -> None:
        self._begun = begun
        self._incoming = incoming

    async def __anext__(self) -> bytes:
        piece, self._begun = self._begun, b""
        if not piece:
            piece = await self._incoming.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        await self._incoming.aclose()


async def _begin(incoming: Incoming, size: int) -> bytes:
    """The body if it is shorter than ``size``, else at least that much of it."""
    begun = bytearray()
    while len(begun) < size and (piece := await incoming.read()):
        begun += piece
    return bytes(begun)


def _headers(headers: Mapping[str, str]) -> Headers:
    return tuple((_PASSED_BACK[name], value) for name, value in headers.items() if name in _PASSED_BACK)
