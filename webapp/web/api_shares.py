"""Who may see a chat: its links and its people, for those who manage it; and deleting it."""

from __future__ import annotations

from typing import Any

import segno
from litestar import MediaType, Response, delete, patch, post
from litestar.params import FromPath

from webapp.chat.catalog.grants import Grant, Holder
from webapp.chat.catalog.links import Link
from webapp.chat.errors import ChatNotFound
from webapp.chat.messages import Participant, Role
from webapp.sharing.shares import Offer, link_id
from webapp.web.api_chats import absolute_url
from webapp.web.bodies import ChatRequest, read_struct
from webapp.web.guards import Admission, enter
from webapp.web.identity import Caller, Visitor
from webapp.web.reads import read
from webapp.web.schemas import ChangeRole, NewShare
from webapp.web.services import AppServices, Services


@read("/api/chats/{chat_id:str}/shares")
async def list_shares(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """``{people, links}``: who was let in and as what, and which links let others in. Tokens are shown once,
    when a link is made, and never here.
    """
    chat = (await _manage(services, visitor, chat_id)).chat
    people = [_person(each) for each in await services.sharing.people(chat)]
    links = [_link(each) for each in await services.sharing.links(chat)]
    return Response({"people": people, "links": links})


@post("/api/chats/{chat_id:str}/shares")
async def share(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Response[Any]:
    """201 ``{url, id, role, expiresAt?, fromMessage?, qr?}``: whoever opens the link gets the role."""
    chat = (await _manage(services, visitor, chat_id)).chat
    wanted = await read_struct(request, NewShare)
    offer = Offer(
        role=Role[wanted.role.upper()],
        lasts=wanted.expires_in,
        from_message=wanted.from_message,
        frozen=wanted.frozen,
    )
    made = await services.sharing.offer(chat, offer, by=visitor.participant)
    services.overview.changed(chat_id)
    url = absolute_url(request, f"/s/{made.token}")
    drawn = {"qr": qr_code(url)} if wanted.qr else {}
    return Response({"url": url, **_given(made.grant), **drawn}, status_code=201)


@delete("/api/chats/{chat_id:str}/shares/{link:str}", status_code=200)
async def revoke(
    chat_id: FromPath[str], link: FromPath[str], services: AppServices, visitor: Caller
) -> Response[Any]:
    """The link opens nothing any more, and whoever came by it is out, unless they may be in otherwise."""
    chat = (await _manage(services, visitor, chat_id)).chat
    before = await services.catalog.views.members(chat_id)
    await services.sharing.revoke(chat, link)
    await services.overview.tell(chat_id, also=before)
    return Response({})


@patch("/api/chats/{chat_id:str}/people/{participant_id:str}")
async def change_role(
    chat_id: FromPath[str],
    participant_id: FromPath[str],
    request: ChatRequest,
    services: AppServices,
    visitor: Caller,
) -> Response[Any]:
    """200 ``{id, role}``: from now on, whatever link they came by."""
    chat = (await _manage(services, visitor, chat_id)).chat
    wanted = await read_struct(request, ChangeRole)
    await services.sharing.set_role(chat, participant_id, Role[wanted.role.upper()])
    return Response({"id": participant_id, "role": wanted.role})


@delete("/api/chats/{chat_id:str}/people/{participant_id:str}", status_code=200)
async def remove_person(
    chat_id: FromPath[str], participant_id: FromPath[str], services: AppServices, visitor: Caller
) -> Response[Any]:
    """They are out, and the links they have opened do not let them in again; except for whoever leaves."""
    if participant_id == visitor.participant.id:
        chat = (await enter(services, visitor, chat_id, Role.VIEW)).chat
        await services.sharing.leave(chat, visitor.participant)
    else:
        chat = (await _manage(services, visitor, chat_id)).chat
        await services.sharing.remove(chat, participant_id)
    await services.overview.tell(chat_id, also=[participant_id])
    return Response({})


@delete("/api/chats/{chat_id:str}", status_code=200)
async def delete_chat(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """200 ``{restorable}``: for so many seconds ``POST …/restore`` brings the chat back."""
    await _manage(services, visitor, chat_id)
    if not await services.deletions.delete(chat_id, by=visitor.participant):
        raise ChatNotFound
    await services.losses.look()
    await services.overview.tell(chat_id)
    return Response({"restorable": services.settings.security.delete_grace})


@post("/api/chats/{chat_id:str}/restore")
async def restore_chat(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[Any]:
    """200 ``{id}``: the chat is back as it was. 404 for whoever did not manage it, and when too late."""
    if visitor.only_chat not in (None, chat_id):
        raise ChatNotFound
    if not await services.deletions.restore(chat_id, by=visitor.participant):
        raise ChatNotFound
    await services.overview.tell(chat_id)
    return Response({"id": chat_id}, status_code=200)


@read("/chat/{chat_id:str}/share")
async def share_dialog(chat_id: FromPath[str], services: AppServices, visitor: Caller) -> Response[str]:
    """The fragment with the dialog in which all of this is done."""
    admission = await _manage(services, visitor, chat_id)
    chat = admission.chat
    at = await services.excerpts.snapshot(chat_id, since=admission.since)
    owner = await services.catalog.people.get(chat.owner_id)
    html = services.pages.share(
        chat,
        me=visitor.participant,
        owner=owner or Participant(chat.owner_id, "Somebody"),
        people=await services.sharing.people(chat),
        links=await services.sharing.links(chat),
        messages=at.branches.path(at.snapshot.pins),
        now=services.clock(),
    )
    return Response(html, media_type=MediaType.HTML)


def qr_code(url: str) -> str:
    """The link as a picture, in an address of its own: it is never asked for by another request."""
    return str(segno.make(url, error="m", micro=False).svg_data_uri(scale=4, border=2, light="#fff"))


async def _manage(services: Services, visitor: Visitor, chat_id: str) -> Admission:
    return await enter(services, visitor, chat_id, Role.MANAGE)


def _person(holder: Holder) -> dict[str, Any]:
    who = holder.participant
    return {**_given(holder.grant), "id": who.id, "name": who.name, "link": link_id(holder.grant) or None}


def _link(link: Link) -> dict[str, Any]:
    return {
        **_given(link.grant),
        "frozen": link.frozen,
        "opened": link.opened,
        "createdAt": round(link.created_at * 1000),
        "people": [{"id": each.id, "name": each.name} for each in link.visitors],
    }


def _given(grant: Grant) -> dict[str, Any]:
    """Times in milliseconds since the epoch, as everywhere on the wire."""
    return {
        "id": link_id(grant),
        "role": grant.role.name.lower(),
        "expiresAt": None if grant.expires_at is None else round(grant.expires_at * 1000),
        "fromMessage": grant.since.message_id if grant.since else None,
    }


ROUTES = [
    list_shares,
    share,
    revoke,
    change_role,
    remove_person,
    delete_chat,
    restore_chat,
    share_dialog,
]
