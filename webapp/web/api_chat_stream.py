"""The read proxy: a chat's stream for those who may see it, from an offset, live or not.

Nothing of the stream server shows through but the protocol itself: the path is made from the checked id,
query and headers pass allow-lists, and an error is told in our own words.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from litestar.params import FromQuery

from webapp.chat.messages import Role
from webapp.streams.asgi import Responder
from webapp.streams.clients.base import InvalidRequest, StreamError, StreamsUnavailable
from webapp.streams.wire import WireRequest, WireResponse
from webapp.web.bodies import ChatRequest
from webapp.web.errors import StreamRefused, refusal
from webapp.web.guards import SAME_ORIGIN_READ, enter
from webapp.web.identity import Caller
from webapp.web.proxy_headers import allowed_query, allowed_request_headers, allowed_response_headers
from webapp.web.reads import read
from webapp.web.services import AppServices

_ANSWERS = frozenset({200, 204, 304})


@read("/api/chat-stream", opt={SAME_ORIGIN_READ: True})
async def read_chat(
    request: ChatRequest, services: AppServices, visitor: Caller, id: FromQuery[str] = ""
) -> Responder:
    """Durable Streams reads of one chat: ``offset``, ``live`` and ``cursor`` mean what the protocol says."""
    await enter(services, visitor, id, Role.VIEW)
    await services.sessions.ensure(id)
    query = allowed_query(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    live = any(name == "live" for name, _ in query)
    upstream = WireRequest(
        method=request.method,
        path=services.sessions.path(id),
        query=query,
        headers=allowed_request_headers(request.headers),
    )

    async def answer() -> WireResponse:
        try:
            reply = _checked(await services.streams.forward(upstream))
        except (StreamError, StreamRefused) as error:
            return refusal(error)
        headers = allowed_response_headers(reply.headers, live=live)
        return WireResponse(status=reply.status, headers=headers, body=reply.body)

    # The responder calls ``answer`` once it holds the slot, and gives the slot back however the reply ends.
    principal = visitor.participant.id
    return Responder(
        answer,
        slot=(lambda: services.slots.claim(principal, id)) if live else None,
        write_timeout=services.settings.streams.write_timeout,
    )


def _checked(reply: WireResponse) -> WireResponse:
    """The reply, if it is one to a read; anything else, a redirect too, becomes an error in our own words."""
    if reply.status in _ANSWERS:
        return reply
    if reply.status == 400:
        raise InvalidRequest("the stream server refused the read")
    if reply.status in {404, 410}:
        raise StreamRefused(reply.status)
    wait = reply.header("Retry-After") or ""
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 5 else 1
    raise StreamsUnavailable(f"the stream server answered {reply.status}", retry_after=seconds)


ROUTES = [read_chat]
