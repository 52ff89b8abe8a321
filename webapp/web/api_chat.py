"""Sending and stopping: the two writes of a conversation."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, post
from litestar.params import FromQuery

from webapp.chat.errors import InvalidMessage
from webapp.chat.messages import Role, newest_user_message
from webapp.web.bodies import ChatRequest, read_json, read_struct
from webapp.web.guards import enter
from webapp.web.identity import Caller, remember
from webapp.web.schemas import StopRun
from webapp.web.services import AppServices


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
    believed.
    """
    await enter(services, visitor, id, Role.CHAT)
    body = await read_json(request)
    accepted = await services.supervisor.accept(
        chat_id=id,
        message=newest_user_message(body),
        run_id=_run_id(body, "runId"),
        parent_run_id=_run_id(body, "parentRunId"),
        data=_data(body),
        # Last, so that nobody is stored for a message that is refused above.
        participant=await remember(services, visitor),
    )
    if mode == "await":
        await services.supervisor.wait(accepted.run_id)
    status = 200 if mode == "await" else 202
    return Response(b"", status_code=status, headers={"X-Run-Id": accepted.run_id}, media_type=MediaType.TEXT)


@post("/api/chat/stop")
async def stop(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """202 ``{stopped: true}`` if something was running, 200 ``{stopped: false}`` if not."""
    wanted = await read_struct(request, StopRun)
    await enter(services, visitor, wanted.id, Role.CHAT)
    stopped = await services.supervisor.stop(
        chat_id=wanted.id, run_id=wanted.run_id, participant=visitor.participant
    )
    return Response({"stopped": stopped}, status_code=202 if stopped else 200)


def _run_id(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidMessage(f"{key} must be a string.")
    return value


def _data(body: dict[str, Any]) -> dict[str, Any]:
    """What the client sent along: ``data``, or in AG-UI's words ``forwardedProps``."""
    data = body.get("data", body.get("forwardedProps"))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InvalidMessage("data must be an object.")
    return data


ROUTES = [send, stop]
