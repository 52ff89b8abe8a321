"""A stream's reply for somebody who may see the chat from one message on: the same, less what came before.

Owns the two shapes in which events come, an array and server-sent events, and where such a reader may begin.
Must not know which events those are: ``services.excerpts`` says so. Offsets stay what they are, so a reader
goes on from any of them as everybody does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from msgspec.structs import replace

from webapp.chat.excerpts import begin
from webapp.chat.since import Since
from webapp.streams.clients.base import BEGINNING
from webapp.streams.clients.http.sse_decoder import SseDecoder
from webapp.streams.protocol import names, sse
from webapp.streams.wire import WireRequest, WireResponse
from webapp.web.services import Services

_RAW = msgspec.json.Decoder(list[msgspec.Raw])


def beginning(request: WireRequest, since: Since) -> WireRequest:
    """The read, from no earlier than ``since``, and never answered from a cache that knew more or less."""
    query = [
        (name, begin(value, since) if name == names.QUERY_OFFSET else value) for name, value in request.query
    ]
    if all(name != names.QUERY_OFFSET for name, _ in query):
        query.append((names.QUERY_OFFSET, begin(BEGINNING, since)))
    headers = {name: value for name, value in request.headers.items() if name != names.IF_NONE_MATCH.lower()}
    return replace(request, query=tuple(query), headers=headers)


async def without_earlier(
    services: Services, chat_id: str, reply: WireResponse, since: Since
) -> WireResponse:
    """The reply to such a read as the visitor may see it."""
    headers = tuple(
        (name, value)
        for name, value in reply.headers
        if name.lower() not in (names.ETAG.lower(), "content-length", "cache-control")
    )
    headers = (*headers, (names.CACHE_CONTROL, "no-store"))
    body = reply.body
    content_type = reply.header(names.CONTENT_TYPE) or ""
    if content_type.startswith(names.EVENT_STREAM) and not isinstance(body, bytes):
        return replace(reply, headers=headers, body=_frames(services, chat_id, body, since))
    if not isinstance(body, bytes):
        body = b"".join([piece async for piece in body])
    if body:
        body = await _array(services, chat_id, body, since)
    return replace(reply, headers=headers, body=body)


async def _array(services: Services, chat_id: str, body: bytes, since: Since) -> bytes:
    shown = await services.excerpts.filtered(chat_id, map(bytes, _RAW.decode(body)), since=since)
    return b"[" + b",".join(shown) + b"]"


async def _frames(
    services: Services, chat_id: str, frames: AsyncIterator[bytes], since: Since
) -> AsyncGenerator[bytes, None]:
    """Each frame is whole: events and their control event, or a ping."""
    decoder = SseDecoder()
    try:
        async for frame in frames:
            told = decoder.feed(frame)
            if not told:
                yield frame
                continue
            shown = b""
            for event in told:
                if event.name == "data":
                    array = await _array(services, chat_id, event.data, since)
                    shown += sse.data(array) if array != b"[]" else b""
                else:
                    shown += b"event: %b\ndata:%b\n\n" % (event.name.encode(), event.data)
            yield shown
    finally:
        if close := getattr(frames, "aclose", None):
            await close()
