"""The list of chats, and what a person settles for themselves about the chats in it: what is pinned, archived
and read, and what they have begun to write.

None of it concerns anybody else; every other tab of the same person is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from litestar import MediaType, Response, patch, put
from litestar.params import FromPath, FromQuery

from webapp.chat.errors import InvalidMessage
from webapp.chat.messages import Role
from webapp.streams.clients.base import StreamError
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.guards import chats_of, check_shown, enter
from webapp.web.identity import Caller, Visitor, remember
from webapp.web.listing import Listing, zone_of
from webapp.web.reads import read
from webapp.web.rows import Person, initials
from webapp.web.schemas import ChangeView, ReadUntil, WriteDraft
from webapp.web.services import AppServices, Services

_WITH_FACES = 12
_PATIENCE = 0.25


@read("/chats")
async def chat_list(
    request: ChatRequest, services: AppServices, visitor: Caller, current: FromQuery[str] = ""
) -> Response[str]:
    """The fragment that every page has in its sidebar; ``current`` is the chat on the page that asks. 304 if
    the page has it (``If-None-Match``).
    """
    listed = services.pages.chat_list(await listing_of(request, services, visitor, current=current))
    headers = {"ETag": f'"{listed.version}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response("", status_code=304, headers=headers, media_type=MediaType.HTML)
    return Response(str(listed.html), headers=headers, media_type=MediaType.HTML)


@patch("/api/chats/{chat_id:str}/view")
async def change_view(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """Pin or archive the chat in the caller's own list: 200 ``{}``."""
    await enter(services, visitor, chat_id, Role.VIEW)
    wanted = await read_struct(request, ChangeView)
    me = await remember(services, visitor)
    await services.catalog.views.mark(chat_id, me.id, pinned=wanted.pinned, archived=wanted.archived)
    await _tell(services, visitor, chat_id)
    return Response({})


@put("/api/chats/{chat_id:str}/read")
async def read_until(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """The caller has seen everything up to the message: 200 ``{}``. Looking further up later unreads
    nothing.
    """
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    wanted = await read_struct(request, ReadUntil)
    await check_shown(services, admission, wanted.message_id)
    messages = (await services.sessions.snapshot(chat_id)).snapshot.messages
    count = next((n for n, each in enumerate(messages, 1) if each["id"] == wanted.message_id), None)
    if count is None:
        raise InvalidMessage("There is no such message.", code="unknown-message")
    me = await remember(services, visitor)
    if await services.catalog.views.read(chat_id, me.id, count=count, message_id=wanted.message_id):
        await _tell(services, visitor, chat_id)
    return Response({})


@read("/api/chats/{chat_id:str}/draft")
async def draft(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """``{text, at}``: what the caller has begun to write, and when, in milliseconds."""
    await enter(services, visitor, chat_id, Role.CHAT)
    kept = (await services.catalog.views.own(chat_id, visitor.participant.id)).draft
    return Response({"text": kept.text, "at": kept.at_ms})


@put("/api/chats/{chat_id:str}/draft")
async def write_draft(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """Keep what the caller has begun to write: 200 ``{at}``. ``tab`` tells their other tabs who did."""
    await enter(services, visitor, chat_id, Role.CHAT)
    wanted = await read_struct(request, WriteDraft)
    me = await remember(services, visitor)
    kept = await services.catalog.views.write_draft(chat_id, me.id, wanted.text)
    # Without the text: only a tab that wants it asks for it, and no feed keeps what was never said.
    await services.feeds.tell([me.id], {"kind": "draft", "chatId": chat_id, "tab": wanted.tab})
    return Response({"at": kept.at_ms})


async def listing_of(
    request: ChatRequest, services: Services, visitor: Visitor, *, current: str | None = None
) -> Listing:
    """The visitor's list of chats, as of now and by their own clock."""
    chats = await chats_of(services, visitor)
    return Listing(
        chats=chats,
        faces=await _faces(services, [chat.id for chat in chats if chat.shared and not chat.archived]),
        me_id=visitor.participant.id,
        now=services.clock(),
        zone=zone_of(request.cookies),
        current=current,
    )


async def _faces(services: Services, chat_ids: Sequence[str]) -> dict[str, list[Person]]:
    """Who is in the first of these chats now. A list that cannot say so in time goes without."""
    found: dict[str, list[Person]] = {}

    async def look(chat_id: str) -> None:
        with suppress(StreamError):
            here = await services.presence.people(chat_id)
            found[chat_id] = [
                Person(each.participant_id, each.name, each.hue, initials(each.name)) for each in here
            ]

    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*map(look, chat_ids[:_WITH_FACES]))
    return found


async def _tell(services: Services, visitor: Visitor, chat_id: str) -> None:
    await services.feeds.tell([visitor.participant.id], {"kind": "chats", "chatId": chat_id})


ROUTES = [chat_list, change_view, read_until, draft, write_draft]
