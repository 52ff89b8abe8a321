"""Templates and the values they are given.

Owns the Jinja environment and the contexts of every page and fragment. Must not know HTTP, storage or the
supervisor: handlers hand over what was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from webapp.agents.cast import Cast, Member
from webapp.assets import Assets
from webapp.chat.branches import Choices
from webapp.chat.catalog import Chat
from webapp.chat.catalog.choices import Choice, in_effect
from webapp.chat.catalog.grants import Holder
from webapp.chat.catalog.links import Link
from webapp.chat.catalog.views import OwnView
from webapp.chat.messages import Participant, Role, hue
from webapp.chat.roster import Presence
from webapp.chat.sessions import ChatSnapshot
from webapp.chat.since import Since
from webapp.web.errors import Problem
from webapp.web.listing import Listing, sections
from webapp.web.markdown import MarkdownCache
from webapp.web.mention_marks import MentionMarks
from webapp.web.rows import Message, Row, RowBuilder, TextPart, person
from webapp.web.share_context import share_context
from webapp.web.tool_lines import ToolReader
from webapp.web.windows import Window, opening, window

PRODUCT = "Durable Chat"


@dataclass(frozen=True, slots=True)
class Starter:
    """Something to try, as a button: ``text`` is sent."""

    text: str
    label: str


DEMO_STARTERS = (
    Starter("/long 400", "Start a long answer, then refresh the page"),
    Starter("/tool", "Watch a tool being used"),
    Starter("/debate", "Let two agents talk until they wait for you"),
    Starter("/approve", "Ask for something that needs consent"),
)
SOLO_STARTERS = (
    *DEMO_STARTERS[:2],
    Starter("/think", "See it think before it answers"),
    *DEMO_STARTERS[3:],
)
STARTERS = (
    Starter("What can you help me with?", "See what it can do"),
    Starter("Explain event sourcing to a ten-year-old.", "Get an explanation"),
    Starter("Write a haiku about a cable that was cut.", "Get a haiku"),
    Starter("Plan a two-day walk in the Alps, hour by hour.", "Start a long answer, then refresh the page"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatView:
    """One reader's view of one chat: everything a page or fragment of it is made from."""

    chat: Chat
    me: Participant
    role: Role
    at: ChatSnapshot
    chosen: Mapping[str, Choice]
    own: OwnView
    since: Since | None = None
    """From where on the reader may see it; ``at`` has no more."""
    deciders: tuple[str, ...] = ()
    """Names of those who may decide approvals, if the reader may not."""

    @property
    def choices(self) -> Choices:
        """What the reader looks at where there are versions: what is pinned, or chosen since."""
        return in_effect(self.chosen, self.at.snapshot.pins)

    def path(self) -> Sequence[Message]:
        """The messages the reader has before them."""
        return self.at.branches.path(self.choices)

    def looking_at(self, message_id: str | None) -> ChatView:
        """The view of somebody who looks at the versions on the way to the message, whatever they chose."""
        branches, pins = self.at.branches, self.at.snapshot.pins
        if message_id is None or message_id not in branches:
            return self
        turned = {
            group: Choice(version, pins.get(group))
            for group, version in branches.choices_of(message_id).items()
            if branches.chosen(group, self.choices) != version
        }
        return replace(self, chosen={**self.chosen, **turned})


@dataclass(frozen=True, slots=True)
class ChatList:
    """The list of chats as HTML; ``version`` tells whether it is another one by now."""

    html: Markup
    version: str


class Pages:
    """Renders every page and fragment."""

    def __init__(self, *, templates: Path, assets: Assets, cast: Cast) -> None:
        self._markdown = MarkdownCache()
        self._agent = cast.default
        self._presence = Presence(cast)
        self._hues = {each.id: _hue(each) for each in cast}
        self._names = [name for each in cast for name in (each.id, each.name)]
        self._environment = Environment(
            loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )
        self._environment.globals.update(asset=assets.url, modules=assets.modules, product=PRODUCT)

    def error(self, problem: Problem, *, title: str) -> str:
        """The page for a refusal."""
        return self._render(
            "error.html",
            status=problem.status,
            title=title,
            sentence=problem.sentence,
            code=problem.reference or problem.code,
        )

    def device(self, whose: Participant, *, token: str, me: Participant | None) -> str:
        """The page that asks whether a browser is to be this person; ``me`` is who it has been."""
        before = person(me) if me else None
        return self._render("device.html", person=person(whose), token=token, me=before)

    def chats(self, *, me: Participant, listing: Listing, ping: float) -> str:
        """The start page: a new chat, and the visitor's chats. ``ping`` is the live reply's, in seconds."""
        return self._render(
            "chats.html",
            me=person(me),
            ping=ping,
            chat_list=self.chat_list(listing),
            starters=self._starters(),
            agent=self._agent_context(),
        )

    def chat_list(self, listing: Listing) -> ChatList:
        """The fragment with the list of chats."""
        html = self._render("partials/chat-list.html", sections=sections(listing))
        return ChatList(Markup(html), hashlib.sha256(html.encode()).hexdigest()[:16])  # noqa: S704 - a template's

    def chat(
        self,
        view: ChatView,
        *,
        listing: Listing,
        live: Mapping[str, float],
        before: str | None = None,
        at: str | None = None,
        debug: bool = False,
    ) -> str | None:
        """The page of a chat, with its latest messages, what is new to the reader, or those of ``history``;
        None if there is no such message. ``live`` has the seconds between two signs of life, of a live reply
        (``ping``) and of the page (``beat``).
        """
        view = view.looking_at(before or at)
        path = view.path()
        latest = window(path)
        if before is None and at is None:
            shown = opening(path, read_to=view.own.read_to, me_id=view.me.id)
        else:
            shown = window(path, before=before, at=at)
        if shown is None or latest is None:
            return None
        rows = self._rows(view, shown)
        return self._render(
            "chat.html",
            chat={
                "id": view.chat.id,
                "title": view.chat.title,
                "url": chat_url(view.chat.id),
                "frozen": view.chat.frozen,
            },
            me=person(view.me),
            role=view.role.name.lower(),
            can=_can(view.role),
            pending=_tools(view).pending({message["id"] for message in path}),
            rows=rows,
            has_code=any(isinstance(part, TextPart) and part.has_code for row in rows for part in row.parts),
            **_edges(view.chat.id, shown),
            agent=self._agent_context(),
            agents=self._agents(view),
            island=self._island(view, latest, live=live),
            chat_list=self.chat_list(listing),
            starters=self._starters(),
            debug_url=f"{chat_url(view.chat.id)}/debug" if debug else None,
        )

    def debug(self, view: ChatView, *, prompt: Sequence[object], events: Sequence[object]) -> str:
        """The fragment with a prompt and events of the log."""
        url = f"{chat_url(view.chat.id)}/debug"
        return self._render("partials/debug.html", url=url, prompt=prompt, events=events)

    def share(
        self,
        chat: Chat,
        *,
        me: Participant,
        owner: Participant,
        people: Sequence[Holder],
        links: Sequence[Link],
        messages: Sequence[Message],
        now: float,
    ) -> str:
        """The fragment with the share dialog."""
        context = share_context(chat, owner=owner, people=people, links=links, messages=messages, now=now)
        return self._render("partials/share.html", me_id=me.id, **context)

    def lab(self) -> str:
        """The transport lab. Its prompt is one that takes long enough to press buttons."""
        prompt = "/long 500" if self._agent.id == "demo" else "Explain event sourcing, at length."
        return self._render("lab.html", prompt=prompt)

    def history(
        self, view: ChatView, *, before: str | None = None, at: str | None = None, to: str | None = None
    ) -> str | None:
        """The fragment with the messages above ``before``, or from ``at`` on it, or else the latest, of the
        versions on the way to ``to``; None if there is no such message."""
        view = view.looking_at(before or at or to)
        shown = window(view.path(), before=before, at=at)
        if shown is None:
            return None
        return self._render(
            "partials/history.html", rows=self._rows(view, shown), **_edges(view.chat.id, shown)
        )

    def message(self, view: ChatView, message_id: str) -> str | None:
        """The fragment of one message as a fresh page would show it; None if there is no such message."""
        messages = view.looking_at(message_id).path()
        index = next((i for i, one in enumerate(messages) if one.get("id") == message_id), None)
        if index is None:
            return None
        # From the message before it, because the notice of a run in between ends a group of one speaker.
        start = max(index - 1, 0)
        shown = Window(messages=messages[start : index + 1], above=messages[start - 1] if start else None)
        row = next(row for row in self._rows(view, shown) if row.id == message_id)
        return self._render("partials/message.html", row=row)

    def _rows(self, view: ChatView, shown: Window) -> list[Row]:
        snapshot = view.at.snapshot
        builder = RowBuilder(
            runs=snapshot.runs,
            active=frozenset(snapshot.active_runs),
            me_id=view.me.id,
            can_chat=view.role >= Role.CHAT,
            hues=self._hues,
            notes=snapshot.notes,
            html=self._markdown.render,
            mentions=MentionMarks(self._names, me=view.me.name),
            branches=view.at.branches,
            pins=snapshot.pins,
            tools=_tools(view),
        )
        return builder.rows(shown.messages, before=shown.above)

    def _island(self, view: ChatView, shown: Window, *, live: Mapping[str, float]) -> dict[str, Any]:
        """What JavaScript continues from. Grows with the visible messages, not with the conversation."""
        chat_id = view.chat.id
        messages = view.at.snapshot.messages
        first = shown.messages[0] if shown.messages else None
        # What is being written goes on in the page, though it be on a branch that is not shown.
        begun = view.at.snapshot.open_ids
        above = next(
            (at for at, one in enumerate(messages) if one is first or one["id"] in begun), len(messages)
        )
        return {
            "chat": {"id": chat_id, "title": view.chat.title},
            "me": {"id": view.me.id, "name": view.me.name, **view.me.shown},
            "role": view.role.name.lower(),
            "can": _can(view.role),
            "agent": {"id": self._agent.id, "name": self._agent.name},
            "agents": self._agents(view),
            "snapshot": view.at.snapshot.to_json(last=len(messages) - above),
            "outline": [_outline(one) for one in messages[:above]] if view.at.branches.forked else [],
            "choices": {group: asdict(choice) for group, choice in view.chosen.items()},
            "offset": view.at.offset,
            "urls": {
                "send": f"/api/chat?id={chat_id}",
                "read": f"/api/chat-stream?id={chat_id}",
                "live": "/api/live",
                "stop": "/api/chat/stop",
                "queue": "/api/chat/queue",
                "message": f"/chat/{chat_id}/messages/{{mid}}",
                "share": f"/api/chats/{chat_id}/shares",
                "chat": f"/api/chats/{chat_id}",
                "branch": f"/api/chats/{chat_id}/branch",
                "continue": "/api/chat/continue",
                "agents": f"/api/chats/{chat_id}/agents",
                "seen": f"/api/chats/{chat_id}/read",
                "draft": f"/api/chats/{chat_id}/draft",
                "presence": f"/api/chats/{chat_id}/presence",
            },
            "readTo": view.own.read_to,
            "draft": {"text": view.own.draft.text, "at": view.own.draft.at_ms},
            "live": live,
        }

    def _agent_context(self) -> dict[str, Any]:
        return {
            "id": self._agent.id,
            "name": self._agent.name,
            "hue": _hue(self._agent),
            "scripted": self._agent.scripted,
        }

    def _agents(self, view: ChatView) -> list[dict[str, Any]]:
        """Every agent of the server, and whether it is in the chat."""
        return [
            {
                "id": each.id,
                "name": each.name,
                "hue": _hue(each),
                "scripted": each.scripted,
                "present": present,
            }
            for each, present in self._presence.shown(view.at.snapshot)
        ]

    def _starters(self) -> tuple[Starter, ...]:
        if self._agent.id != "demo":
            return STARTERS
        return DEMO_STARTERS if len(self._presence.cast) > 1 else SOLO_STARTERS

    def _render(self, name: str, **context: Any) -> str:
        html = self._environment.get_template(name).render(context)
        return html.encode(errors="replace").decode()  # JSON may carry half a surrogate pair; HTML cannot


def chat_url(chat_id: str) -> str:
    return f"/chat/{chat_id}"


def _hue(member: Member) -> int:
    return hue(member.id) if member.hue is None else member.hue


def _outline(message: Message) -> dict[str, Any]:
    """A message above the page, as far as the branches of the chat hang on it."""
    placing = ("parentId", "editOf", "runId", "agentId", "continues")
    metadata = message.get("metadata") or {}
    told = {key: metadata[key] for key in placing if key in metadata}
    return {"id": message["id"], "role": message["role"], "parts": [], "metadata": told}


def _edges(chat_id: str, shown: Window) -> dict[str, str | None]:
    """Where the messages above and below the window are, if there are any."""

    def address(name: str, message: Message) -> str:
        return f"{chat_url(chat_id)}?{name}={quote(str(message.get('id')), safe='')}"

    older = address("before", shown.messages[0]) if shown.above and shown.messages else None
    return {"older_url": older, "newer_url": address("at", shown.below) if shown.below else None}


def _tools(view: ChatView) -> ToolReader:
    snapshot = view.at.snapshot
    return ToolReader(
        runs=snapshot.runs,
        active=frozenset(snapshot.active_runs),
        can_approve=view.role >= Role.APPROVE,
        deciders=view.deciders,
        decide_url=f"{chat_url(view.chat.id)}/decisions",
    )


def _can(role: Role) -> dict[str, bool]:
    return {"chat": role >= Role.CHAT, "approve": role >= Role.APPROVE, "share": role >= Role.MANAGE}
