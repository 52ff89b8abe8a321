"""Forking a chat, and the tree that forks make: only what the caller may see of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, post
from litestar.params import FromPath

from webapp.chat.catalog import Chat
from webapp.chat.catalog.views import ListedChat
from webapp.chat.errors import Forbidden
from webapp.chat.forks import Place, Sieve
from webapp.chat.messages import Role
from webapp.chat.overview import Said
from webapp.web.api_chats import absolute_url
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.errors import BadChatId
from webapp.web.guards import CHAT_ID, Admission, as_seen, check_shown, enter
from webapp.web.identity import Caller, remember
from webapp.web.reads import read
from webapp.web.render import chat_url
from webapp.web.schemas import ForkChat
from webapp.web.services import AppServices, Services


@post("/api/chats/{chat_id:str}/fork")
async def fork(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """201 ``{id, url, title, token}``: a chat of the caller's own that begins as this one did. The same
    again, with the same ``id``, is 200 without a token.
    """
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    wanted = await read_struct(request, ForkChat)
    fork_id = services.ids() if wanted.id is None else wanted.id
    if CHAT_ID.fullmatch(fork_id) is None:
        raise BadChatId
    me = await remember(services, visitor)
    place, source, sieve = await _place(services, admission, wanted)
    made, token = await services.forks.fork(
        source, fork_id, at=place, by=me, message_id=wanted.message_id, sieve=sieve
    )
    last = (await services.sessions.snapshot(made.id)).snapshot.messages[-1:]
    services.overview.changed(made.id, *(Said(me.id, each["id"]) for each in last))
    body = {"id": made.id, "url": absolute_url(request, chat_url(made.id)), "title": made.title}
    if token is None:
        return Response(body, status_code=200)
    return Response({**body, "token": token}, status_code=201)


async def _place(
    services: Services, admission: Admission, wanted: ForkChat
) -> tuple[Place, Chat, Sieve | None]:
    """Where the fork leaves its source, the source as it may be shown, and what leaves out the rest of it."""
    chat, since, places = admission.chat, admission.since, services.forks.places
    if since is None:
        if wanted.offset is not None:
            return Place(wanted.offset, wanted.sub_offset), chat, None
        if wanted.message_id is not None:
            return await places.after(chat.id, wanted.message_id), chat, None
        return await places.end(chat.id), chat, None
    if wanted.offset is not None:
        raise Forbidden("Only whoever sees the whole chat can fork it by its offsets.")
    if wanted.message_id is not None:
        await check_shown(services, admission, wanted.message_id)
    place = await places.stretch(chat.id, wanted.message_id, since=since.offset)

    async def sieve(messages: Sequence[bytes]) -> Sequence[bytes]:
        return await services.excerpts.filtered(chat.id, messages, since=since)

    return place, admission.shown_chat(await services.excerpts.snapshot(chat.id, since=since)), sieve


@read("/api/chats/{chat_id:str}/forks")
async def tree(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """``{parent, forks}``: the chat that this one was forked from, and those that were forked from it."""
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    parent, forks = await services.catalog.views.relatives(
        visitor.participant.id, chat_id, parent_id=admission.chat.parent_id
    )
    if visitor.only_chat is not None:
        parent, forks = None, []
    named = [_named(each) for each in await as_seen(services, [*([parent] if parent else []), *forks])]
    return Response({"parent": named.pop(0) if parent else None, "forks": named})


def _named(chat: ListedChat) -> dict[str, Any]:
    return {"id": chat.id, "title": chat.title, "url": chat_url(chat.id)}


ROUTES = [fork, tree]
