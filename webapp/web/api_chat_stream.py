"""The read proxy: a chat's stream for those who may see it, from an offset, live or not.

Nothing of the stream server shows through but the protocol itself: the path is made from the checked id,
query and headers pass allow-lists, and an error is told in our own words.
"""

from __future__ import annotations

from litestar.params import FromQuery

from webapp.chat.errors import ChatError
from webapp.chat.messages import Role
from webapp.streams.asgi import Responder
from webapp.streams.clients.base import StreamError, StreamGone, StreamNotFound
from webapp.streams.proxy import is_live, proxied, read_request
from webapp.streams.wire import WireResponse
from webapp.web.bodies import ChatRequest
from webapp.web.errors import StreamRefused, refusal
from webapp.web.excerpt_replies import beginning, without_earlier
from webapp.web.guards import SAME_ORIGIN_READ, enter
from webapp.web.identity import Caller
from webapp.web.reads import read
from webapp.web.services import AppServices


@read("/api/chat-stream", opt={SAME_ORIGIN_READ: True})
async def read_chat(
    request: ChatRequest, services: AppServices, visitor: Caller, id: FromQuery[str] = ""
) -> Responder:
    """Durable Streams reads of one chat: ``offset``, ``live`` and ``cursor`` mean what the protocol says."""
    admission = await enter(services, visitor, id, Role.VIEW)
    since = admission.since
    await services.sessions.ensure(id)
    wanted = read_request(
        request.method,
        services.sessions.path(id),
        query=request.scope["query_string"].decode("latin-1"),
        headers=request.headers,
    )
    if since is not None:
        wanted = beginning(wanted, since)

    async def answer() -> WireResponse:
        try:
            reply = await proxied(services.streams, wanted)
            return reply if since is None else await without_earlier(services, id, reply, since)
        except (StreamNotFound, StreamGone) as gone:
            return refusal(StreamRefused(gone.status))
        except (ChatError, StreamError) as error:
            return refusal(error)

    # The responder calls ``answer`` once it holds the slot, and gives the slot back however the reply ends.
    principal = visitor.participant.id
    return Responder(
        answer,
        slot=(lambda: services.slots.claim(principal, id)) if is_live(wanted) else None,
        until=admission.loss if is_live(wanted) else None,
        write_timeout=services.settings.streams.write_timeout,
    )


ROUTES = [read_chat]
