"""The two questions asked of every request before anything is read, and the one asked before a chat is
touched.

Litestar guards run before the body is parsed and before handlers. ``enter`` is the only way to a chat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from webapp.agents.base import text_of
from webapp.chat.catalog import Chat
from webapp.chat.catalog.catalog import clean_title
from webapp.chat.catalog.views import ListedChat
from webapp.chat.errors import ChatNotFound, Conflict
from webapp.chat.messages import NewMessage, Role
from webapp.chat.runs.pauses import Answer, find_pause
from webapp.chat.sessions import ChatSnapshot
from webapp.chat.since import Since
from webapp.chat.titles import unmarked
from webapp.sharing.losses import Loss
from webapp.streams.clients.base import StreamError
from webapp.web.errors import BadHost, CrossSite
from webapp.web.identity import Visitor, bearer_token, remember
from webapp.web.security import allowed_host, is_cross_site, is_own_origin
from webapp.web.services import Services

CHAT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
SAME_ORIGIN_READ = "same_origin_read"
"""Handler option: also a GET must not come from another site, because what it returns is worth embedding."""

ANY_HOST = "any_host"
"""Handler option: probes of an orchestrator ask by address."""

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def method_of(connection: Connection) -> str:
    """The HTTP method; a WebSocket handshake is a GET."""
    scope: Mapping[str, object] = connection.scope
    return str(scope.get("method", "GET"))


async def trusted_host(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse a Host header that is not ours: DNS rebinding makes another site same-origin."""
    hosts: tuple[str, ...] = connection.app.state["allowed_hosts"]
    if not handler.opt.get(ANY_HOST) and not allowed_host(connection.headers.get("host", ""), hosts):
        raise BadHost


async def same_origin(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse requests that a browser sends for another site. A bearer token is never sent by itself."""
    if method_of(connection) in _SAFE_METHODS and not handler.opt.get(SAME_ORIGIN_READ):
        return
    if bearer_token(connection.headers.get("authorization")) is None and is_cross_site(connection.headers):
        raise CrossSite


async def own_page(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse a WebSocket that no page of ours opened. Nothing else keeps other sites from opening one with
    the browser's cookies, so here a missing Origin is no proof of a program: programs bring a token.
    """
    if bearer_token(connection.headers.get("authorization")) is not None:
        return
    if is_cross_site(connection.headers) or not is_own_origin(connection.headers):
        raise CrossSite


@dataclass(frozen=True, slots=True)
class Admission:
    """A chat somebody was let into, and as what.

    ``since`` is what they may see of it: pass it to every read of the conversation (``services.excerpts``).
    ``loss`` fires when they lose something: whatever is open for them ends then.
    """

    chat: Chat
    role: Role
    since: Since | None
    loss: Loss

    def shown_chat(self, at: ChatSnapshot) -> Chat:
        """The chat as it may be shown with ``at``: what it is called may tell what was said before."""
        return self.chat if self.since is None else replace(self.chat, title=title_of(at))


async def enter(
    services: Services, visitor: Visitor, chat_id: str, role: Role, *, create: bool = True
) -> Admission:
    """The chat, if the visitor may act as ``role`` in it.

    With open access an unknown well-formed id becomes a chat of its first visitor, if ``create`` says so.
    Raises ChatNotFound for what is unknown or unseen, Forbidden for what is seen but not allowed.
    """
    if CHAT_ID.fullmatch(chat_id) is None:
        raise ChatNotFound
    # Before anything is asked: what is lost from here on is heard of.
    loss = services.losses.watch(chat_id, visitor.participant.id)
    chat = await services.catalog.get_chat(chat_id)
    open_to_all = services.settings.security.access == "open" and visitor.only_chat is None
    if chat is None and create and open_to_all:
        owner = await remember(services, visitor)
        try:
            chat, _, _ = await services.catalog.create_chat(chat_id, owner=owner)
        except Conflict:
            raise ChatNotFound from None  # a deleted chat looks missing
    right = await services.capabilities.admit(visitor.participant, chat_id, role, scope=visitor.only_chat)
    if chat is None:
        raise ChatNotFound
    return Admission(chat, right.role, right.since, loss)


def title_of(at: ChatSnapshot) -> str | None:
    """What a chat is called of which no more than ``at`` is known: what a person has named it, else what was
    said first.
    """
    messages = at.snapshot.messages
    return clean_title(at.snapshot.title or (unmarked(text_of(messages[0])) if messages else None))


async def check_shown(services: Services, admission: Admission, message_id: str) -> None:
    """Raise ChatNotFound if the message, and with it every answer to it, is not for the visitor to see."""
    if not await services.excerpts.shows(admission.chat.id, message_id, since=admission.since):
        raise ChatNotFound


async def check_run(services: Services, admission: Admission, run_id: str | None) -> None:
    """The same for what the run answers. A run that there is not is for others to refuse."""
    if admission.since is None or run_id is None:
        return
    row = await services.catalog.runs.get(run_id)
    if row is not None and row.chat_id == admission.chat.id:
        await check_shown(services, admission, row.message_id)


async def check_placed(services: Services, admission: Admission, message: NewMessage) -> None:
    """The same for a message that somebody sends: what it follows, or is a version of, they have to see."""
    named = (message.id, message.metadata.get("parentId"), message.metadata.get("editOf"))
    for message_id in named:
        if isinstance(message_id, str):
            await check_shown(services, admission, message_id)


async def asked(
    services: Services, admission: Admission, answers: Sequence[Answer], *, run_id: str | None
) -> str | None:
    """The run that the answers are for. Who sees a part of a chat answers what was asked there: what
    questions are called is easy to guess. Raises Conflict if nothing was.
    """
    if admission.since is None:
        return run_id
    seen = await services.excerpts.snapshot(admission.chat.id, since=admission.since)
    return find_pause(seen.snapshot, answers, run_id=run_id).run_id


async def chats_of(services: Services, visitor: Visitor) -> list[ListedChat]:
    """The chats the visitor is in, the latest first; for a bearer token only its own."""
    chats = await services.catalog.views.of(visitor.participant.id)
    return await as_seen(services, [chat for chat in chats if visitor.only_chat in (None, chat.id)])


async def as_seen(services: Services, chats: Sequence[ListedChat]) -> list[ListedChat]:
    """The chats as they may be listed: of what somebody sees a part of, the title may tell too much."""
    return [chat if chat.since is None else await _excerpted(services, chat) for chat in chats]


async def _excerpted(services: Services, chat: ListedChat) -> ListedChat:
    """The chat as it may be listed for somebody who sees a part of it."""
    try:
        return replace(chat, title=title_of(await services.excerpts.snapshot(chat.id, since=chat.since)))
    except (ChatNotFound, StreamError):
        return replace(chat, title=None)
