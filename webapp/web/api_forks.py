"""Forking a chat, and the tree that forks make: only what the caller may see of it."""

from __future__ import annotations

from typing import Any

from litestar import Response, post
from litestar.params import FromPath

from webapp.chat.catalog.views import ListedChat
from webapp.chat.errors import Forbidden
from webapp.chat.forks import Place
from webapp.chat.messages import Role
from webapp.web.api_chats import absolute_url
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.errors import BadChatId
from webapp.web.guards import CHAT_ID, enter
from webapp.web.identity import Caller, remember
from webapp.web.reads import read
from webapp.web.render import chat_url
from webapp.web.schemas import ForkChat
from webapp.web.services import AppServices


@post("/api/chats/{chat_id:str}/fork")
async def fork(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """201 ``{id, url, title, token}``: a chat of the caller's own that begins as this one did. The same
    again, with the same ``id``, is 200 without a token.
    """
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    if admission.since is not None:
        raise Forbidden("Who sees a part of a chat cannot fork it.")
    wanted = await read_struct(request, ForkChat)
    fork_id = services.ids() if wanted.id is None else wanted.id
    if CHAT_ID.fullmatch(fork_id) is None:
        raise BadChatId
    forks = services.forks
    if wanted.offset is not None:
        place = Place(wanted.offset, wanted.sub_offset)
    elif wanted.message_id is not None:
        place = await forks.after(chat_id, wanted.message_id)
    else:
        place = await forks.end(chat_id)
    me = await remember(services, visitor)
    made, token = await forks.fork(admission.chat, fork_id, at=place, by=me, message_id=wanted.message_id)
    services.overview.changed(made.id, by=me.id)
    body = {"id": made.id, "url": absolute_url(request, chat_url(made.id)), "title": made.title}
    if token is None:
        return Response(body, status_code=200)
    return Response({**body, "token": token}, status_code=201)


@read("/api/chats/{chat_id:str}/forks")
async def tree(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """``{parent, forks}``: the chat that this one was forked from, and those that were forked from it."""
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    parent, forks = await services.catalog.views.relatives(
        visitor.participant.id, chat_id, parent_id=admission.chat.parent_id
    )
    if visitor.only_chat is not None:
        parent, forks = None, []
    return Response({"parent": parent and _named(parent), "forks": [_named(each) for each in forks]})


def _named(chat: ListedChat) -> dict[str, Any]:
    return {"id": chat.id, "title": chat.title, "url": chat_url(chat.id)}


ROUTES = [fork, tree]
