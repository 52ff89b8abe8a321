"""Pages and fragments for people: the start page, a chat, its older messages, and the forms that work without
JavaScript."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from litestar import MediaType, Response, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from webapp.chat.errors import ChatNotFound
from webapp.chat.messages import NewMessage, Role, newest_user_message
from webapp.web.bodies import ChatRequest, read_form
from webapp.web.chat_list import listing_of
from webapp.web.guards import check_shown, enter
from webapp.web.identity import Caller, Visitor, forbid_scoped, remember
from webapp.web.reads import read
from webapp.web.render import ChatView, chat_url
from webapp.web.services import AppServices, Services


@read("/")
async def start_page(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[str]:
    listing = await listing_of(request, services, visitor)
    ping = services.settings.streams.ping_interval
    return _html(services.pages.chats(me=visitor.participant, listing=listing, ping=ping))


@post(["/", "/chats"])
async def start_chat(request: ChatRequest, services: AppServices, visitor: Caller) -> Redirect:
    """A form: create a chat, with ``text`` as its first message if there is one."""
    forbid_scoped(visitor)
    form = await read_form(request)
    message = _message(services, form) if form.get("text", "").strip() else None
    me = await remember(services, visitor)
    chat, _, _ = await services.catalog.create_chat(services.ids(), owner=me)
    await services.sessions.ensure(chat.id)
    services.overview.changed(chat.id)
    if message is not None:
        await services.supervisor.accept(chat_id=chat.id, participant=me, message=message)
    return Redirect(chat_url(chat.id), status_code=303)


@read("/chat/{chat_id:str}")
async def chat_page(
    chat_id: FromPath[str],
    *,
    request: ChatRequest,
    services: AppServices,
    visitor: Caller,
    before: FromQuery[str | None] = None,
    at: FromQuery[str | None] = None,
    debug: FromQuery[str | None] = None,
) -> Response[str]:
    """The chat. ``?at=`` opens it at a message, ``?before=`` above one; with ``?debug`` it has a drawer that
    shows what the agent is sent."""
    view = await view_of(services, visitor, chat_id)
    listing = await listing_of(request, services, visitor, current=chat_id)
    limits = services.settings.streams
    return await _in_thread(
        lambda: services.pages.chat(
            view,
            listing=listing,
            live={"ping": limits.ping_interval, "beat": limits.presence_ttl / 3},
            before=before,
            at=at,
            debug=debug is not None,
        )
    )


@post("/chat/{chat_id:str}")
async def send_form(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Redirect:
    """The composer without JavaScript."""
    admission = await enter(services, visitor, chat_id, Role.CHAT)
    message = _message(services, await read_form(request))
    await check_shown(services, admission, message.id)
    message = await services.excerpts.placed(chat_id, message, since=admission.since)
    me = await remember(services, visitor)
    await services.supervisor.accept(chat_id=chat_id, participant=me, message=message)
    return Redirect(chat_url(chat_id), status_code=303)


@read("/chat/{chat_id:str}/messages")
async def history(
    chat_id: FromPath[str],
    *,
    services: AppServices,
    visitor: Caller,
    before: FromQuery[str | None] = None,
    at: FromQuery[str | None] = None,
    to: FromQuery[str | None] = None,
) -> Response[str]:
    """The fragment above the message ``before``, from another one on, or of the latest messages; of these the
    page says with ``to`` on the way to which message, for what it looks at need not be known here."""
    view = await view_of(services, visitor, chat_id)
    return await _in_thread(lambda: services.pages.history(view, before=before, at=at, to=to))


@read("/chat/{chat_id:str}/messages/{message_id:str}")
async def one_message(
    chat_id: FromPath[str], message_id: FromPath[str], services: AppServices, visitor: Caller
) -> Response[str]:
    """One message as a fresh page would show it; a live page swaps it in when the message is finished."""
    view = await view_of(services, visitor, chat_id)
    return await _in_thread(lambda: services.pages.message(view, message_id))


async def view_of(services: Services, visitor: Visitor, chat_id: str) -> ChatView:
    """What the visitor has before them in the chat. Raises ChatNotFound and Forbidden."""
    admission = await enter(services, visitor, chat_id, Role.VIEW)
    at = await services.excerpts.snapshot(chat_id, since=admission.since)
    deciders: tuple[str, ...] = ()
    if admission.role < Role.APPROVE and any("interrupts" in run for run in at.snapshot.runs.values()):
        deciders = await services.catalog.grants.holders(chat_id, Role.APPROVE)
    return ChatView(
        chat=admission.shown_chat(at),
        me=visitor.participant,
        role=admission.role,
        at=at,
        since=admission.since,
        chosen=await services.catalog.choices.of(chat_id, visitor.participant.id),
        own=await services.catalog.views.own(chat_id, visitor.participant.id),
        deciders=deciders,
    )


def _message(services: Services, form: dict[str, str]) -> NewMessage:
    """The message of a form. Raises InvalidMessage or TooLarge."""
    parts = [{"type": "text", "content": form.get("text", "")}]
    message = {"id": form.get("messageId") or services.ids(), "role": "user", "parts": parts}
    return newest_user_message({"messages": [message]})


async def _in_thread(render: Callable[[], str | None]) -> Response[str]:
    """Markdown of sixty long messages takes a while the first time; the loop has live readers to serve."""
    html = await asyncio.to_thread(render)
    if html is None:
        raise ChatNotFound("There is no such message.")
    return _html(html)


def _html(content: str) -> Response[str]:
    return Response(content, media_type=MediaType.HTML)


ROUTES = [start_page, start_chat, chat_page, send_form, history, one_message]
