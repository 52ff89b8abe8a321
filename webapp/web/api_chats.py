"""Chats as programs see them: create, list, snapshot, rename, choose versions, let agents in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Response, patch, post, put
from litestar.params import FromPath

from webapp.agents.cast import Member
from webapp.chat.catalog.views import ListedChat
from webapp.chat.errors import ChatNotFound, Conflict
from webapp.chat.messages import Role
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.errors import BadChatId
from webapp.web.guards import CHAT_ID, chats_of, check_shown, enter
from webapp.web.identity import Caller, Visitor, forbid_scoped, remember
from webapp.web.reads import read
from webapp.web.render import chat_url
from webapp.web.schemas import ChooseVersion, MoveAgent, NewChat, RenameChat
from webapp.web.services import AppServices, Services


@post("/api/chats")
async def create_chat(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """201 ``{id, url, token}``; the token is a bearer token for this chat, shown only now."""
    forbid_scoped(visitor)
    return await _create(services.ids(), request, services, visitor)


@put("/api/chats/{chat_id:str}")
async def put_chat(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """The same with an id of the caller's: 201, or 200 without token if they have it already."""
    if CHAT_ID.fullmatch(chat_id) is None:
        raise BadChatId
    if visitor.only_chat != chat_id:
        forbid_scoped(visitor)
    return await _create(chat_id, request, services, visitor)


@read("/api/chats")
async def list_chats(services: AppServices, visitor: Caller) -> Response[Any]:
    return Response({"chats": [_summary(chat) for chat in await chats_of(services, visitor)]})


@read("/api/chats/{chat_id:str}/snapshot")
async def snapshot(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """``{messages, activeRuns, runs, roster, notes, state, version, offset, agents}``: read the stream on
    from ``offset``. ``agents`` are the server's, ``{id, name, present}``.
    """
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    at = await services.excerpts.snapshot(chat_id, since=admission.since)
    agents = services.roster.shown(at.snapshot)
    return Response({**at.snapshot.to_json(), "offset": at.offset, "agents": _agents(agents)})


@post("/api/chats/{chat_id:str}/agents")
async def move_agent(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """Let an agent in, or send it away. 200 ``{changed, agents}``; what is so already is no change."""
    await enter(services, visitor, chat_id, Role.CHAT)
    wanted = await read_struct(request, MoveAgent)
    changed = await services.roster.change(
        chat_id, wanted.agent_id, present=wanted.present, by=await remember(services, visitor)
    )
    at = await services.sessions.snapshot(chat_id)
    agents = services.roster.shown(at.snapshot)
    return Response({"changed": changed, "agents": _agents(agents)}, status_code=200)


@patch("/api/chats/{chat_id:str}")
async def rename(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """200 ``{id, title}``, as everybody sees it from now on."""
    await enter(services, visitor, chat_id, Role.CHAT)
    wanted = await read_struct(request, RenameChat)
    me = await remember(services, visitor)
    return Response({"id": chat_id, "title": await services.marks.rename(chat_id, wanted.title, by=me)})


@put("/api/chats/{chat_id:str}/branch")
async def choose_version(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """Which version of a message or an answer is looked at: by the caller, or pinned for everybody."""
    wanted = await read_struct(request, ChooseVersion)
    admission = await enter(services, visitor, chat_id, Role.CHAT if wanted.pin else Role.VIEW)
    await check_shown(services, admission, wanted.version)
    me = await remember(services, visitor)
    await services.marks.choose(chat_id, wanted.group, wanted.version, by=me, pin=wanted.pin)
    return Response(msgspec.structs.asdict(wanted))


def absolute_url(request: ChatRequest, path: str) -> str:
    """``path`` on the host that was asked, which a guard has checked to be ours."""
    return f"{request.scope['scheme']}://{request.headers['host']}{path}"


async def _create(chat_id: str, request: ChatRequest, services: Services, visitor: Visitor) -> Response[Any]:
    wanted = await read_struct(request, NewChat)
    me = await remember(services, visitor)
    try:
        chat, created, token = await services.catalog.create_chat(chat_id, owner=me, title=wanted.title)
    except Conflict:
        raise ChatNotFound from None  # a deleted chat looks like any that is not the caller's
    body = {"id": chat.id, "url": absolute_url(request, chat_url(chat.id))}
    if not created:
        await enter(services, visitor, chat_id, Role.VIEW)
        return Response(body, status_code=200)
    await services.sessions.ensure(chat.id)
    services.overview.changed(chat.id)
    return Response({**body, "token": token}, status_code=201)


def _agents(shown: Sequence[tuple[Member, bool]]) -> list[dict[str, Any]]:
    return [{"id": each.id, "name": each.name, "present": present} for each, present in shown]


def _summary(chat: ListedChat) -> dict[str, Any]:
    """Times in milliseconds since the epoch, as everywhere on the wire."""
    return {
        "id": chat.id,
        "title": chat.title,
        "url": chat_url(chat.id),
        "createdAt": round(chat.created_at * 1000),
        "updatedAt": round(chat.updated_at * 1000),
        "pinned": chat.pinned,
        "archived": chat.archived,
        "shared": chat.shared,
        "running": chat.running,
        "unread": chat.unread,
    }


ROUTES = [create_chat, put_chat, list_chats, snapshot, move_agent, rename, choose_version]
