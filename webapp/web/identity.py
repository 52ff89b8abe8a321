"""Who is asking: a signed cookie for browsers, a bearer token for programs, a new guest otherwise. Where an
authenticating proxy says who it is, that counts instead of the cookie.

Must not know what anybody may do. A guest is only stored once it does something, so that crawlers leave no
trace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency

from webapp.chat.errors import Forbidden, Unauthorised
from webapp.chat.messages import Participant
from webapp.web.cookies import COOKIE_NAME, send_cookie_later
from webapp.web.guest_names import guest_name
from webapp.web.proxied import identity_told
from webapp.web.services import AppServices, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """The participant behind a request.

    ``stored`` is False for a guest that has not done anything yet. ``only_chat`` is the one chat that a
    bearer token is good for; None for a browser. ``proxied``: a proxy says who they are.
    """

    participant: Participant
    stored: bool
    only_chat: str | None = None
    proxied: bool = False


Caller: TypeAlias = NamedDependency[Visitor]
"""The type of a handler's ``visitor`` parameter."""


def bearer_token(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer …`` header. Another scheme is not ours: None."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def provide_visitor(request: Request[None, None, State], services: AppServices) -> Visitor:
    """Litestar dependency ``visitor``."""
    return await identify(request, services)


async def identify(connection: ASGIConnection[Any, Any, Any, Any], services: Services) -> Visitor:
    """Who is asking. A bearer token decides alone; a wrong one is never a guest. Raises Unauthorised."""
    token = bearer_token(connection.headers.get("authorization"))
    if token is not None:
        bearer = await services.capabilities.authenticate(token)
        if bearer is None:
            raise Unauthorised("This token is not valid.")
        return Visitor(participant=bearer.participant, stored=True, only_chat=bearer.chat_id)
    if services.settings.security.identity_header:
        return await _proxied(connection, services)
    cookie = connection.cookies.get(COOKIE_NAME)
    participant_id = services.cookies.read(cookie) if cookie else None
    if participant_id is None:
        participant_id = services.ids()
        send_cookie_later(connection.scope, services.cookies.sign(participant_id))
    stored = await services.catalog.people.get(participant_id)
    guest = Participant(participant_id, guest_name(participant_id))
    return Visitor(participant=stored or guest, stored=stored is not None)


async def _proxied(connection: ASGIConnection[Any, Any, Any, Any], services: Services) -> Visitor:
    """Whom the proxy names, under the name that it gives. Raises Unauthorised if it names nobody."""
    told = identity_told(connection.scope, services.settings.security)
    if told is None:
        raise Unauthorised("Please sign in first.")
    stored = await services.catalog.people.get(told.id)
    if stored is None:
        return Visitor(participant=told, stored=False, proxied=True)
    shown = replace(told, hue=stored.hue)
    if shown != stored:
        await services.catalog.people.change(shown)
    return Visitor(participant=shown, stored=True, proxied=True)


async def remember(services: Services, visitor: Visitor) -> Participant:
    """Store the visitor, who is about to leave something behind, and return the participant."""
    if not visitor.stored:
        await services.catalog.people.remember(visitor.participant)
    return visitor.participant


def forbid_scoped(visitor: Visitor) -> None:
    """Refuse a token that is good for one chat where no chat, or another one, is meant."""
    if visitor.only_chat is not None:
        raise Forbidden("This token is good for one chat only.")
