"""Sending, stopping, going on, and changing what waits: the writes of a conversation."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, post
from litestar.params import FromQuery

from webapp.chat.errors import Forbidden
from webapp.chat.messages import Role, check_text
from webapp.chat.runs.queue import Action, Change
from webapp.web.bodies import ChatRequest, read_json, read_struct
from webapp.web.guards import check_run, check_shown, enter
from webapp.web.identity import Caller, remember
from webapp.web.run_input import accept, parse_run_input
from webapp.web.run_replies import RUN_ID
from webapp.web.schemas import ChangeQueued, ContinueRun, StopRun
from webapp.web.services import AppServices

PARTICIPANT = "X-Participant"


@post("/api/chat")
async def send(
    request: ChatRequest,
    services: AppServices,
    visitor: Caller,
    id: FromQuery[str] = "",
    mode: FromQuery[str] = "",
) -> Response[bytes]:
    """Accept the newest user message and start its run.

    The body is the durable transport's ``{messages, data?, runId?}`` or AG-UI's ``RunAgentInput``. 202 as
    soon as it is durable; with ``mode=await`` 200 once the run has ended. The history in the body is not
    believed. A page may say whose it is: what was kept there before its reader became somebody else is
    not theirs.
    """
    if request.headers.get(PARTICIPANT, visitor.participant.id) != visitor.participant.id:
        raise Forbidden("You are somebody else in this browser now. Please load the page again.")
    admission = await enter(services, visitor, id, Role.CHAT)
    wanted = parse_run_input(await read_json(request), run_id=request.headers.get(RUN_ID))
    accepted = await accept(services, visitor, admission, wanted)
    if mode == "await":
        for run_id in (accepted.run_id, *accepted.further):
            await services.supervisor.wait(run_id)
    status = 200 if mode == "await" else 202
    return Response(b"", status_code=status, headers={RUN_ID: accepted.run_id}, media_type=MediaType.TEXT)


@post("/api/chat/stop")
async def stop(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """202 ``{stopped: true}`` if something was running, 200 ``{stopped: false}`` if not."""
    wanted = await read_struct(request, StopRun)
    await check_run(services, await enter(services, visitor, wanted.id, Role.CHAT), wanted.run_id)
    stopped = await services.supervisor.stop(
        chat_id=wanted.id, run_id=wanted.run_id, participant=visitor.participant
    )
    return Response({"stopped": stopped}, status_code=202 if stopped else 200)


@post("/api/chat/continue")
async def go_on(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[bytes]:
    """202: an answer that was stopped, failed or was interrupted goes on where it broke off."""
    wanted = await read_struct(request, ContinueRun)
    await check_run(services, await enter(services, visitor, wanted.id, Role.CHAT), wanted.run_id)
    me = await remember(services, visitor)
    accepted = await services.supervisor.go_on(chat_id=wanted.id, run_id=wanted.run_id, participant=me)
    headers = {RUN_ID: accepted.run_id}
    return Response(b"", status_code=202, headers=headers, media_type=MediaType.TEXT)


@post("/api/chat/queue")
async def change_queued(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """Edit, drop or put first a message that no agent has begun to answer. 409 once one has."""
    wanted = await read_struct(request, ChangeQueued)
    await check_shown(services, await enter(services, visitor, wanted.id, Role.CHAT), wanted.message_id)
    edited = wanted.action is Action.EDIT
    change = Change(
        chat_id=wanted.id,
        message_id=wanted.message_id,
        participant=visitor.participant,
        action=wanted.action,
        text=check_text(wanted.text) if edited else "",
    )
    await services.supervisor.change_queued(change)
    return Response({}, status_code=200)


ROUTES = [send, stop, go_on, change_queued]
