"""Every route of the app that is about one chat, and how to call it. A route missing here fails a test."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tests.support.live_app import Chatter
from webapp.chat.messages import Role

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _nothing(owner: Chatter, chat_id: str) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRoute:
    """``role`` is what it takes, ``path`` the template, ``ok`` the status of success.

    ``prepare``: what there has to be first, by the owner, and how it is called in the path. ``uses_up``: a
    chat is not the same afterwards. ``hides``: to whoever may not, it says that there is no such chat.
    """

    method: str
    path: str
    role: Role
    ok: int
    prepare: Callable[[Chatter, str], dict[str, str]] = _nothing
    uses_up: bool = False
    hides: bool = False
    template: str = ""
    json: dict[str, Any] | None = None
    form: str | None = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.template or self.path}"

    def ready(self, owner: Chatter, chat_id: str) -> ChatRoute:
        """The route with everything prepared in the owner's chat."""
        path = self.path
        for name, value in self.prepare(owner, chat_id).items():
            path = path.replace(f"{{{name}}}", value)
        return replace(self, path=path, template=self.template or self.path)

    def call(self, http: httpx.Client, chat_id: str, **options: Any) -> httpx.Response:
        """Call it for ``chat_id``; every call sends a message of its own."""
        json = None
        if self.json is not None:
            json = {key: chat_id if value == "{chat_id}" else value for key, value in self.json.items()}
        headers = {**(FORM if self.form is not None else {}), **options.pop("headers", {})}
        path = re.sub(r"\{\w+\}", "none", self.path.replace("{chat_id}", chat_id))
        return http.request(self.method, path, json=json, content=self.form, headers=headers, **options)


def _a_link(owner: Chatter, chat_id: str) -> dict[str, str]:
    reply = owner.http.post(f"/api/chats/{chat_id}/shares", json={"role": "view"})
    return {"link": str(reply.json()["id"])}


def _a_person(owner: Chatter, chat_id: str) -> dict[str, str]:
    owner.invited(chat_id, "view")
    people = owner.http.get(f"/api/chats/{chat_id}/shares").json()["people"]
    return {"participant_id": str(people[-1]["id"])}


def _deleted(owner: Chatter, chat_id: str) -> dict[str, str]:
    assert owner.http.delete(f"/api/chats/{chat_id}").status_code == 200
    return {}


MESSAGE = {"role": "user", "parts": [{"type": "text", "content": "hello"}]}

CHAT_ROUTES = [
    ChatRoute(method="GET", path="/chat/{chat_id}", role=Role.VIEW, ok=200),
    ChatRoute(method="POST", path="/chat/{chat_id}", role=Role.CHAT, ok=303, form="text=hello"),
    ChatRoute(
        method="GET",
        path="/chat/{chat_id}/messages?before=m-first",
        template="/chat/{chat_id}/messages",
        role=Role.VIEW,
        ok=200,
    ),
    ChatRoute(
        method="GET",
        path="/chat/{chat_id}/messages/m-first",
        template="/chat/{chat_id}/messages/{message_id}",
        role=Role.VIEW,
        ok=200,
    ),
    ChatRoute(method="GET", path="/chat/{chat_id}/debug", role=Role.VIEW, ok=200),
    ChatRoute(
        method="POST", path="/chat/{chat_id}/decisions", role=Role.APPROVE, ok=409, form="interruptId=none"
    ),
    ChatRoute(method="PUT", path="/api/chats/{chat_id}", role=Role.VIEW, ok=200, json={}),
    ChatRoute(method="GET", path="/api/chats/{chat_id}/snapshot", role=Role.VIEW, ok=200),
    ChatRoute(method="PATCH", path="/api/chats/{chat_id}", role=Role.CHAT, ok=200, json={"title": "Plans"}),
    ChatRoute(
        method="PATCH", path="/api/chats/{chat_id}/view", role=Role.VIEW, ok=200, json={"pinned": False}
    ),
    ChatRoute(
        method="PUT",
        path="/api/chats/{chat_id}/read",
        role=Role.VIEW,
        ok=200,
        json={"messageId": "m-first"},
    ),
    ChatRoute(method="GET", path="/api/chats/{chat_id}/draft", role=Role.CHAT, ok=200),
    ChatRoute(method="PUT", path="/api/chats/{chat_id}/draft", role=Role.CHAT, ok=200, json={"text": "x"}),
    ChatRoute(method="GET", path="/api/chats/{chat_id}/forks", role=Role.VIEW, ok=200),
    ChatRoute(
        method="POST",
        path="/api/chats/{chat_id}/fork",
        role=Role.VIEW,
        ok=201,
        json={"messageId": "m-first"},
    ),
    ChatRoute(
        method="PUT",
        path="/api/chats/{chat_id}/branch",
        role=Role.VIEW,
        ok=200,
        json={"group": "m-first", "version": "m-first"},
    ),
    ChatRoute(method="GET", path="/chat/{chat_id}/share", role=Role.MANAGE, ok=200),
    ChatRoute(method="GET", path="/api/chats/{chat_id}/shares", role=Role.MANAGE, ok=200),
    ChatRoute(
        method="POST", path="/api/chats/{chat_id}/shares", role=Role.MANAGE, ok=201, json={"role": "view"}
    ),
    ChatRoute(
        method="DELETE",
        path="/api/chats/{chat_id}/shares/{link}",
        role=Role.MANAGE,
        ok=200,
        prepare=_a_link,
    ),
    ChatRoute(
        method="PATCH",
        path="/api/chats/{chat_id}/people/{participant_id}",
        role=Role.MANAGE,
        ok=200,
        json={"role": "chat"},
        prepare=_a_person,
    ),
    ChatRoute(
        method="DELETE",
        path="/api/chats/{chat_id}/people/{participant_id}",
        role=Role.MANAGE,
        ok=200,
        prepare=_a_person,
    ),
    ChatRoute(method="DELETE", path="/api/chats/{chat_id}", role=Role.MANAGE, ok=200, uses_up=True),
    ChatRoute(
        method="POST",
        path="/api/chats/{chat_id}/restore",
        role=Role.MANAGE,
        ok=200,
        prepare=_deleted,
        uses_up=True,
        hides=True,
    ),
    ChatRoute(
        method="POST",
        path="/api/chats/{chat_id}/agents",
        role=Role.CHAT,
        ok=200,
        json={"agentId": "echo", "present": True},
    ),
    ChatRoute(method="GET", path="/api/chats/{chat_id}/presence", role=Role.VIEW, ok=200),
    ChatRoute(
        method="POST",
        path="/api/chats/{chat_id}/presence",
        role=Role.VIEW,
        ok=204,
        json={"tab": "tab-1", "seq": 1, "state": "active"},
    ),
    ChatRoute(
        method="POST",
        path="/api/chat?id={chat_id}",
        template="/api/chat",
        role=Role.CHAT,
        ok=202,
        json={"messages": [MESSAGE]},
    ),
    *(
        ChatRoute(
            method="POST",
            path=f"/api/chat/{transport}?id={{chat_id}}",
            template=f"/api/chat/{transport}",
            role=Role.CHAT,
            ok=200,
            json={"messages": [MESSAGE]},
        )
        for transport in ("sse", "ndjson")
    ),
    *(
        ChatRoute(
            method="GET",
            path=f"/api/chat/{transport}?id={{chat_id}}",
            template=f"/api/chat/{transport}",
            role=Role.VIEW,
            ok=200,
        )
        for transport in ("sse", "ndjson")
    ),
    ChatRoute(
        method="POST",
        path="/api/chat/stop",
        role=Role.CHAT,
        ok=200,
        json={"id": "{chat_id}", "runId": "none"},
    ),
    ChatRoute(
        method="POST",
        path="/api/chat/continue",
        role=Role.CHAT,
        ok=409,  # no answer has broken off
        json={"id": "{chat_id}", "runId": "none"},
    ),
    ChatRoute(
        method="POST",
        path="/api/chat/queue",
        role=Role.CHAT,
        ok=409,
        json={"id": "{chat_id}", "messageId": "m-first", "action": "drop"},
    ),
    ChatRoute(method="POST", path="/api/lab/cut", role=Role.CHAT, ok=200, json={"id": "{chat_id}"}),
    ChatRoute(
        method="GET",
        path="/api/chat-stream?id={chat_id}&offset=-1",
        template="/api/chat-stream",
        role=Role.VIEW,
        ok=200,
    ),
]

SOCKET_ROUTES = {"/api/chat/ws"}
"""WebSockets; what ``ChatRoute`` is for the others, ``test_sockets.py`` is for them."""

OTHER_ROUTES = {
    ("GET", "/"),
    ("POST", "/"),
    ("GET", "/chats"),
    ("POST", "/chats"),
    ("GET", "/s/{token}"),
    ("GET", "/api/chats"),
    ("GET", "/api/live"),  # about any number of chats: test_live.py
    ("GET", "/api/search"),
    ("POST", "/api/chats"),
    ("GET", "/api/me"),
    ("PATCH", "/api/me"),
    ("POST", "/api/me/device-link"),
    ("GET", "/d/{token}"),
    ("POST", "/d/{token}"),
    ("GET", "/lab"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/static/{version}/{path}"),
}
"""Routes about no particular chat. Whoever adds one here says that it needs no ``may``."""
