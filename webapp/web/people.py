"""What people say of themselves: their name and colour, and that another browser is theirs too.

A link to another device is good once, for some minutes. Opening it asks; only the form on that page uses it
up, so that nothing that merely looks at links does. Used, expired and unknown look the same.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import segno
from litestar import MediaType, Response, patch, post
from litestar.params import FromPath
from litestar.response import Redirect

from webapp.chat.catalog import token_hash
from webapp.chat.catalog.devices import LIFETIME
from webapp.chat.errors import ChatNotFound, Conflict, Forbidden, InvalidMessage
from webapp.chat.messages import Participant, one_line
from webapp.web.api_chats import absolute_url
from webapp.web.bodies import ChatRequest, read_form, read_struct
from webapp.web.cookies import send_cookie_later
from webapp.web.guest_names import NAME_LENGTH
from webapp.web.identity import Caller, Visitor, forbid_scoped, remember
from webapp.web.reads import read
from webapp.web.schemas import ChangeMe
from webapp.web.services import AppServices, Services

# A form says whence it comes only where its page lets it: not the page, whose address is the secret.
_ORIGIN_ONLY = {"Referrer-Policy": "strict-origin"}


@read("/api/me")
async def who_am_i(visitor: Caller) -> Response[Any]:
    """200 ``{id, name, hue, guest, proxied}``. ``proxied``: the name is not ours to change."""
    forbid_scoped(visitor)
    return Response(_told(visitor.participant, visitor))


@patch("/api/me")
async def change_me(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """Take another name, another colour, or both. 200 as ``GET``; what was said before stays as it was."""
    forbid_scoped(visitor)
    wanted = await read_struct(request, ChangeMe)
    me = visitor.participant
    if wanted.name is not None and wanted.name != me.name:
        me = replace(me, name=_name(services, visitor, wanted.name))
    if wanted.name is not None:
        me = replace(me, guest=False)
    if wanted.hue is not None:
        me = replace(me, hue=wanted.hue)
    await services.catalog.people.change(me)
    await services.feeds.tell([me.id], {"kind": "me", "name": me.name, "hue": me.colour})
    return Response(_told(me, visitor))


@post("/api/me/device-link")
async def link_device(request: ChatRequest, services: AppServices, visitor: Caller) -> Response[Any]:
    """201 ``{url, qr, seconds}``: whoever opens it within so many seconds is the same person. ``qr`` is the
    address as a picture, a ``data:`` URL.
    """
    _forbid_proxied(visitor)
    me = await remember(services, visitor)
    token = secrets.token_urlsafe(24)
    await services.catalog.devices.add(token_hash(token), me.id)
    url = absolute_url(request, f"/d/{token}")
    picture = segno.make(url, error="m", micro=False).svg_data_uri(scale=4, border=2, light="#fff")
    return Response({"url": url, "qr": picture, "seconds": round(LIFETIME)}, status_code=201)


@read("/d/{token:str}")
async def ask_about_device(token: FromPath[str], services: AppServices, visitor: Caller) -> Response[str]:
    """The page that asks whether this browser is to be the same person."""
    _forbid_proxied(visitor)
    person = await services.catalog.devices.whose(token_hash(token))
    if person is None:
        raise _unknown()
    page = services.pages.device(person, token=token, me=visitor.participant if visitor.stored else None)
    return Response(page, media_type=MediaType.HTML, headers=_ORIGIN_ONLY)


@post("/d/{token:str}")
async def take_device(
    token: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Redirect:
    """The form of that page: this browser gets the person's cookie."""
    _forbid_proxied(visitor)
    await read_form(request)
    participant_id = await services.catalog.devices.use(token_hash(token))
    if participant_id is None:
        raise _unknown()
    send_cookie_later(request.scope, services.cookies.sign(participant_id))
    return Redirect("/", status_code=303)


def _name(services: Services, visitor: Visitor, wanted: str) -> str:
    """A name somebody may have. Raises Forbidden, InvalidMessage and Conflict."""
    if visitor.proxied:
        raise Forbidden("Your name is set where you sign in.", code="name-is-set-elsewhere")
    name = one_line(wanted, most=NAME_LENGTH)
    if not any(each.isalnum() for each in name):
        raise InvalidMessage("A name needs a letter or a digit.", code="invalid-name")
    if name.casefold() in {agent.name.casefold() for agent in services.roster.cast}:
        raise Conflict("An agent has this name.", code="name-taken")
    return name


def _forbid_proxied(visitor: Visitor) -> None:
    """Where a proxy says who somebody is, no link can."""
    forbid_scoped(visitor)
    if visitor.proxied:
        raise _unknown()


def _unknown() -> ChatNotFound:
    return ChatNotFound("This link is not good, or not any more. They can be used once, within five minutes.")


def _told(me: Participant, visitor: Visitor) -> dict[str, Any]:
    about = {"id": me.id, "name": me.name, "hue": me.colour, "guest": me.guest}
    return {**about, "proxied": visitor.proxied}


ROUTES = [who_am_i, change_me, link_device, ask_about_device, take_device]
