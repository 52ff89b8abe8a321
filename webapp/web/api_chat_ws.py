"""The handshake of the chat's WebSocket: who may open it, and where it begins. The rest is ChatSocket's."""

from __future__ import annotations

from litestar import websocket
from litestar.types.asgi_types import WebSocketResponseBodyEvent, WebSocketResponseStartEvent

from webapp.chat.messages import Role
from webapp.streams.limits import Slot
from webapp.web.chat_socket import ChatSocket, ChatWebSocket
from webapp.web.errors import describe, json_body
from webapp.web.guards import Admission, check_shown, enter, own_page
from webapp.web.identity import Visitor, identify
from webapp.web.run_places import RunPlace, find_run, place_after
from webapp.web.services import AppServices, Services


@websocket("/api/chat/ws", guards=[own_page])
async def open_socket(socket: ChatWebSocket, services: AppServices) -> None:
    """``?id=`` names the chat, unless each frame does by its ``threadId``.

    ``?runId=&offset=`` resumes a run: its events after ``offset``, then the end.
    """
    try:
        visitor = await identify(socket, services)
        chat_id, admission, resumed = await _admit(socket, services, visitor)
        slot = _claim(services, visitor, chat_id)
    except Exception as error:
        await _deny(socket, error)
        return
    try:
        await socket.accept()
        served = ChatSocket(socket, services, visitor, chat_id=chat_id, slot=slot)
        await served.serve(admission, resumed)
    finally:
        slot.release()


async def _admit(
    socket: ChatWebSocket, services: Services, visitor: Visitor
) -> tuple[str, Admission | None, RunPlace | None]:
    query = socket.query_params
    chat_id: str = query.get("id", "")
    if query.get("offset"):
        row = await find_run(services, query.get("runId"), chat_id=chat_id)
        admission = await enter(services, visitor, row.chat_id, Role.VIEW)
        await check_shown(services, admission, row.message_id)
        return row.chat_id, admission, place_after(row, query["offset"])
    if chat_id:
        return chat_id, await enter(services, visitor, chat_id, Role.CHAT), None
    return chat_id, None, None


def _claim(services: Services, visitor: Visitor, chat_id: str) -> Slot:
    principal = visitor.participant.id
    # Sockets without a chat are bound by who has them, and do not share one bound.
    return services.slots.claim(principal, chat_id or f"sockets of {principal}")


async def _deny(socket: ChatWebSocket, error: Exception) -> None:
    """Answer the handshake as the same refusal is answered elsewhere; Litestar knows only how to close."""
    problem = describe(error)
    fields = {"content-type": "application/json", **problem.headers}
    start: WebSocketResponseStartEvent = {
        "type": "websocket.http.response.start",
        "status": problem.status,
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
    }
    body: WebSocketResponseBodyEvent = {
        "type": "websocket.http.response.body",
        "body": json_body(problem),
        "more_body": False,
    }
    await socket.send(start)
    await socket.send(body)


ROUTES = [open_socket]
