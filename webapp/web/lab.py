"""The transport lab: one prompt over every transport, and a network that the server cuts on request.

The page has its chat and its run by the routes that everybody has; all that is the lab's own is the cut.
"""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Response, post

from webapp.chat.messages import Role
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.guards import enter
from webapp.web.identity import Caller
from webapp.web.reads import read
from webapp.web.schemas import CutNetwork
from webapp.web.services import AppServices


@read("/lab")
async def lab_page(services: AppServices) -> Response[str]:
    """The same for everybody; looking at it makes nothing."""
    return Response(services.pages.lab(), media_type=MediaType.HTML)


@post("/api/lab/cut")
async def cut_network(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """200 ``{cut}``: how many live replies and sockets of the visitor's in the chat this process breaks off.

    Their connections are closed without an end to what they carried. Nobody else's are, and the runs go on.
    """
    wanted = await read_struct(request, CutNetwork)
    await enter(services, visitor, wanted.id, Role.CHAT)
    cut = services.slots.cut(visitor.participant.id, wanted.id)
    return Response({"cut": cut}, status_code=200)


ROUTES = [lab_page, cut_network]
