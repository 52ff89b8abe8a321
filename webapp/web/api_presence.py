"""Who is in a chat: the list, and the signs of life that make it."""

from __future__ import annotations

from typing import Any

from litestar import Response, post
from litestar.params import FromPath

from webapp.chat.messages import Role
from webapp.chat.presence_board import LINGER, Beat
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.guards import enter
from webapp.web.identity import Caller
from webapp.web.reads import read
from webapp.web.schemas import NewBeat
from webapp.web.services import AppServices


@read("/api/chats/{chat_id:str}/presence")
async def who_is_here(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """200 ``{people: [{participantId, name, hue, guest, role, state, typing, devices, on}]}``."""
    await enter(services, visitor, chat_id, Role.VIEW)
    return Response({"people": await services.presence.people(chat_id)})


@post("/api/chats/{chat_id:str}/presence")
async def beat(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[None]:
    """204. A tab says that it is there, three times within ``PRESENCE_TTL`` and whenever that changes."""
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    said = await read_struct(request, NewBeat)
    me = visitor.participant
    services.presence.beat(
        chat_id,
        Beat(
            participant_id=me.id,
            name=me.name,
            hue=me.colour,
            guest=me.guest,
            role=admission.role.name.lower(),
            tab=said.tab,
            seq=said.seq,
            state=said.state,
            typing=said.typing and said.state == "active" and admission.role >= Role.CHAT,
            device=said.device,
            at=round(services.clock() * 1000),
        ),
    )
    # Whoever comes or goes is seen in the lists, too: those who go, once it is certain.
    if said.seq <= 1:
        services.overview.company_changed(chat_id)
    elif said.state == "gone":
        services.overview.company_changed(chat_id, after=LINGER)
    return Response(None, status_code=204)


ROUTES = [who_is_here, beat]
