"""What the share dialog is made from: people and links in words, and the messages a link may begin with.

Must not know HTTP or storage: the handler hands over what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webapp.agents.base import text_of
from webapp.chat.catalog import Chat
from webapp.chat.catalog.grants import Grant, Holder
from webapp.chat.catalog.links import Link
from webapp.chat.messages import Participant
from webapp.sharing.shares import link_id
from webapp.web.rows import Message, person

BEGINNINGS = 50
"""The newest messages of people, from which on a chat may be shared."""

EXCERPT = 60
ROLES = (("view", "can view"), ("chat", "can chat"), ("approve", "can approve"), ("manage", "can manage"))
_WORDS = dict(ROLES)


def share_context(
    chat: Chat,
    *,
    owner: Participant,
    people: Sequence[Holder],
    links: Sequence[Link],
    messages: Sequence[Message],
    now: float,
) -> dict[str, Any]:
    """The context of ``partials/share.html``."""
    said = {message["id"]: _excerpt(message) for message in messages if message["role"] == "user"}
    by_link = {link_id(link.grant): link for link in links}
    return {
        "api": f"/api/chats/{chat.id}",
        "roles": ROLES,
        "owner": person(owner),
        "people": [_person(each, by_link=by_link, said=said, now=now) for each in people],
        "links": [_link(each, said=said, now=now) for each in links],
        # Of the first message the whole conversation comes.
        "beginnings": list(said.items())[1:][-BEGINNINGS:][::-1],
    }


def _person(holder: Holder, *, by_link: dict[str, Link], said: dict[str, str], now: float) -> dict[str, Any]:
    grant = holder.grant
    how = [*_limits(grant, said=said, now=now), "by a link" if grant.link_hash else "by hand"]
    return {
        "who": person(holder.participant),
        "role": grant.role.name.lower(),
        "how": ", ".join(how),
        "whole": grant.since is None,
    }


def _link(link: Link, *, said: dict[str, str], now: float) -> dict[str, Any]:
    grant = link.grant
    what = "views a frozen copy" if link.frozen else _WORDS[grant.role.name.lower()]
    opened = "never opened" if not link.opened else f"opened {link.opened} time{'s' * (link.opened != 1)}"
    return {
        "id": link_id(grant),
        "what": ", ".join(["Whoever has it " + what, *_limits(grant, said=said, now=now)]),
        "opened": opened,
        "people": [person(each) for each in link.visitors],
    }


def _limits(grant: Grant, *, said: dict[str, str], now: float) -> list[str]:
    limits = []
    if grant.since is not None:
        limits.append(f"from “{said.get(grant.since.message_id, 'a message')}” on")
    if grant.expires_at is not None:
        limits.append(f"for {_span(grant.expires_at - now)} more")
    return limits


def _span(seconds: float) -> str:
    """A time in the largest unit of which there is one."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {unit}{'s' * (count != 1)}"
    return "a moment"


def _excerpt(message: Message) -> str:
    words = " ".join(text_of(dict(message)).split())
    return words if len(words) <= EXCERPT else words[: EXCERPT - 1].rstrip() + "…"
