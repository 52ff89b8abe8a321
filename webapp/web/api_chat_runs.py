"""Runs as request-scoped replies, for clients that follow no session: SSE and NDJSON, the same supervisor.

A POST has a run exactly as ``POST /api/chat`` does and is answered with its events; a GET joins a run that is
there. The run lives in the chat's stream, so a disconnect only detaches, and ``Last-Event-ID`` reads on after
the event that arrived last, here or in another process. Framing and following are told elsewhere.
"""

from __future__ import annotations

import msgspec
from litestar import post
from litestar.params import FromQuery

from webapp.chat.errors import ChatError, Conflict
from webapp.chat.following import RunCursor
from webapp.chat.messages import Role
from webapp.streams.asgi import Answer, Responder
from webapp.streams.clients.base import BEGINNING, StreamError
from webapp.streams.protocol import names
from webapp.streams.wire import WireResponse
from webapp.web.bodies import ChatRequest, read_json
from webapp.web.errors import refusal
from webapp.web.guards import SAME_ORIGIN_READ, Admission, check_shown, enter
from webapp.web.identity import Caller, Visitor
from webapp.web.reads import read
from webapp.web.run_frames import NDJSON, SERVER_SENT_EVENTS, Framing
from webapp.web.run_input import accept, parse_run_input
from webapp.web.run_places import RunPlace, find_run, place_after
from webapp.web.run_replies import RUN_ID, reply
from webapp.web.services import AppServices, Services


@post("/api/chat/sse")
async def run_sse(
    request: ChatRequest, services: AppServices, visitor: Caller, id: FromQuery[str] = ""
) -> Responder:
    """The run's events as server-sent events."""
    return await _run(request, services, visitor, id, SERVER_SENT_EVENTS)


@post("/api/chat/ndjson")
async def run_ndjson(
    request: ChatRequest, services: AppServices, visitor: Caller, id: FromQuery[str] = ""
) -> Responder:
    """The run's events, one ``{id, chunk}`` a line."""
    return await _run(request, services, visitor, id, NDJSON)


@read("/api/chat/sse", opt={SAME_ORIGIN_READ: True})
async def join_sse(
    request: ChatRequest, services: AppServices, visitor: Caller, id: FromQuery[str] = ""
) -> Responder:
    """The events of ``runId`` after ``offset``; without ``runId`` the chat so far, to begin with."""
    return await _join(request, services, visitor, id, SERVER_SENT_EVENTS)


@read("/api/chat/ndjson", opt={SAME_ORIGIN_READ: True})
async def join_ndjson(
    request: ChatRequest, services: AppServices, visitor: Caller, id: FromQuery[str] = ""
) -> Responder:
    """The same as NDJSON."""
    return await _join(request, services, visitor, id, NDJSON)


async def _run(
    request: ChatRequest, services: Services, visitor: Visitor, chat_id: str, framing: Framing
) -> Responder:
    admission = await enter(services, visitor, chat_id, Role.CHAT) if chat_id else None
    wanted = parse_run_input(await read_json(request), run_id=request.headers.get(RUN_ID))
    # A client whose address names the chat makes up thread ids of its own, so the address goes first.
    admission = admission or await enter(services, visitor, wanted.thread_id or "", Role.CHAT)
    chat_id = admission.chat.id
    seen = request.headers.get("last-event-id")
    if seen is not None:
        row = await find_run(services, wanted.run_id, chat_id=chat_id)
        await check_shown(services, admission, row.message_id)
        if wanted.message is not None and row.message_id != wanted.message.id:
            raise Conflict("That run id was used for another message.", code="run-id-used")
        place = place_after(row, seen)
        return _respond(services, visitor, admission, reply(services, place, framing))

    async def answer() -> WireResponse:
        try:
            accepted = await accept(services, visitor, admission, wanted)
        except (ChatError, StreamError) as error:
            return refusal(error)
        place = RunPlace(chat_id=chat_id, run_id=accepted.run_id, after=RunCursor(accepted.offset))
        return reply(services, place, framing)

    # The slot comes first: who cannot be answered is not heard either, and may try again.
    return _respond(services, visitor, admission, answer)


async def _join(
    request: ChatRequest, services: Services, visitor: Visitor, chat_id: str, framing: Framing
) -> Responder:
    query = request.query_params
    chat_id = chat_id or query.get("threadId", "")
    if not query.get("runId"):
        return await _chat_so_far(services, visitor, chat_id)
    row = await find_run(services, query["runId"], chat_id=chat_id)
    admission = await enter(services, visitor, row.chat_id, Role.VIEW)
    await check_shown(services, admission, row.message_id)
    place = place_after(row, request.headers.get("last-event-id") or query.get("offset") or BEGINNING)
    answer = reply(services, place, framing, head=request.method == "HEAD")
    return _respond(services, visitor, admission, answer)


async def _chat_so_far(services: Services, visitor: Visitor, chat_id: str) -> Responder:
    """What a published client asks before it shows a chat: the messages, and which run to join."""
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    snapshot = (await services.excerpts.snapshot(chat_id, since=admission.since)).snapshot
    running = snapshot.active_runs[-1:]
    shown = {
        "messages": snapshot.messages,
        "activeRun": {"runId": running[0]} if running else None,
        "interrupts": None,
        "page": {"truncated": False},
    }
    answer = WireResponse(
        status=200, headers=((names.CONTENT_TYPE, names.JSON),), body=msgspec.json.encode(shown)
    )
    return Responder(answer, write_timeout=services.settings.streams.write_timeout)


def _respond(
    services: Services, visitor: Visitor, admission: Admission, answer: WireResponse | Answer
) -> Responder:
    principal, chat_id = visitor.participant.id, admission.chat.id
    return Responder(
        answer,
        slot=lambda: services.slots.claim(principal, chat_id),
        until=admission.loss,
        write_timeout=services.settings.streams.write_timeout,
    )


ROUTES = [run_sse, run_ndjson, join_sse, join_ndjson]
