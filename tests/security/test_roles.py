"""Every route, asked by everyone: what a role may do, and that nobody learns of what they cannot see."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from litestar.routes import WebSocketRoute

from tests.security.routes import CHAT_ROUTES, OTHER_ROUTES, SOCKET_ROUTES, ChatRoute
from tests.support.live_app import Chatter, LiveApp
from webapp.chat.messages import Role

UNKNOWN = "unknown-chat-000000000"


@dataclass(frozen=True, slots=True)
class Cast:
    """A chat and everybody around it, and one of somebody else's where they have nothing to look for."""

    chat_id: str
    elsewhere: str
    people: dict[str, Chatter]

    def seat(self, who: str, chat_id: str) -> None:
        """Have somebody be in another chat of the owner's, too, as what they are in the first one."""
        role = ROLES[who]
        if role is not None and not who.startswith("owner"):
            link = self.people["owner"].link(chat_id, role.name.lower())
            assert self.people[who].http.get(link).status_code == 303


ROLES = {
    "stranger": None,
    "view": Role.VIEW,
    "chat": Role.CHAT,
    "approve": Role.APPROVE,
    "manage": Role.MANAGE,
    "owner": Role.MANAGE,
    "owner's token": Role.MANAGE,
    "another chat's token": None,
}


@pytest.fixture(scope="module")
def cast(app: LiveApp) -> Cast:
    owner, somebody = Chatter(app), Chatter(app)
    chat = owner.http.post("/api/chats", json={}).json()
    owner.send(chat["id"], "first", message_id="m-first")
    elsewhere = somebody.http.post("/api/chats", json={}).json()
    somebody.send(elsewhere["id"], "private", message_id="m-first")
    people = {
        "owner": owner,
        "owner's token": Chatter(app, token=chat["token"]),
        "stranger": Chatter(app),
        "another chat's token": Chatter(app, token=elsewhere["token"]),
    }
    for name, role in ROLES.items():
        if name not in people and role is not None:
            people[name] = owner.invited(chat["id"], role.name.lower())
    return Cast(chat["id"], elsewhere["id"], people)


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("route", CHAT_ROUTES, ids=lambda route: route.name)
def test_a_role_opens_what_it_should_and_nothing_else(cast: Cast, route: ChatRoute, who: str) -> None:
    owner, visitor = cast.people["owner"], cast.people[who]
    chat_id = cast.chat_id
    held = ROLES[who]
    if route.uses_up:
        chat = owner.http.post("/api/chats", json={}).json()
        chat_id = chat["id"]
        if who == "owner's token":
            visitor = Chatter(owner.app, token=chat["token"])
        cast.seat(who, chat_id)
    reply = route.ready(owner, chat_id).call(visitor.http, chat_id)
    if held is None:
        assert reply.status_code in {403, 404} if route.method == "PUT" else reply.status_code == 404
    elif held < route.role:
        assert reply.status_code == (404 if route.hides else 403)
    else:
        assert reply.status_code == route.ok


@pytest.mark.parametrize("route", CHAT_ROUTES, ids=lambda route: route.name)
def test_what_one_has_in_a_chat_is_nothing_in_another(cast: Cast, route: ChatRoute) -> None:
    """AC-49: an id of another chat, by whoever may do whatever in their own."""
    for who in ROLES:
        if who != "another chat's token":
            reply = route.call(cast.people[who].http, cast.elsewhere)
            assert reply.status_code in ({403, 404} if route.method == "PUT" else {404}), who
            assert "private" not in reply.text


# That they take the same time is not asserted: both are the same two queries for the chat and its visitor;
# a clock on a busy machine tells nothing about the rest.
@pytest.mark.parametrize(
    "route", [route for route in CHAT_ROUTES if route.method != "PUT"], ids=lambda r: r.name
)
def test_missing_and_forbidden_look_the_same(cast: Cast, route: ChatRoute) -> None:
    stranger = cast.people["stranger"].http
    hidden, missing = route.call(stranger, cast.chat_id), route.call(stranger, UNKNOWN)
    assert (hidden.status_code, hidden.content) == (missing.status_code, missing.content)
    assert {k: v for k, v in hidden.headers.items() if k != "date"} == {
        k: v for k, v in missing.headers.items() if k != "date"
    }
    assert cast.chat_id not in hidden.text


@pytest.mark.parametrize(
    "bad", ["short", "x" * 65, "with.dots.inside", "with%20space", "%2e%2e%2fetc%2fpasswd", "ü" * 10]
)
@pytest.mark.parametrize("route", CHAT_ROUTES, ids=lambda route: route.name)
def test_an_id_that_cannot_be_one_is_unknown(cast: Cast, route: ChatRoute, bad: str) -> None:
    reply = route.call(cast.people["owner"].http, bad)
    if (
        route.path == "/api/chats/{chat_id}" and route.method == "PUT" and "%2f" not in bad
    ):  # with a slash it is another address
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid-id")
    else:
        assert reply.status_code == 404


@pytest.mark.parametrize("who", ["view", "stranger"])
@pytest.mark.parametrize("route", [r for r in CHAT_ROUTES if r.method == "GET"], ids=lambda r: r.name)
def test_head_is_get_without_the_body(cast: Cast, route: ChatRoute, who: str) -> None:
    http = cast.people[who].http
    got = route.call(http, cast.chat_id)
    head = http.head(route.path.replace("{chat_id}", cast.chat_id))
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers["content-security-policy"] == got.headers["content-security-policy"]


def test_every_route_is_in_the_table(app: LiveApp) -> None:
    """HEAD comes with GET."""
    routes = {
        (method, re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path))
        for route in app.app.routes
        if not isinstance(route, WebSocketRoute)
        for method in route.methods  # type: ignore[union-attr]
        if method not in {"OPTIONS", "HEAD"}
    }
    listed = {(route.method, route.template or route.path) for route in CHAT_ROUTES}
    assert routes == listed | OTHER_ROUTES
    sockets = {route.path for route in app.app.routes if isinstance(route, WebSocketRoute)}
    assert sockets == SOCKET_ROUTES


@pytest.mark.parametrize("value", ["", "x", "x.y", "someone.signature", "." * 40])
def test_a_forged_cookie_is_a_new_guest(app: LiveApp, cast: Cast, value: str) -> None:
    forger = app.client(cookies={"durable-chat": value})
    assert forger.get(f"/chat/{cast.chat_id}").status_code == 404
    assert "set-cookie" in forger.get("/").headers


def test_a_stolen_id_without_signature_is_nobody(app: LiveApp, cast: Cast) -> None:
    genuine = cast.people["owner"].http.cookies["durable-chat"]
    participant_id, signature = genuine.rsplit(".", 1)
    for value in (participant_id, f"{participant_id}.{signature[::-1]}", f"x{participant_id}.{signature}"):
        assert app.client(cookies={"durable-chat": value}).get(f"/chat/{cast.chat_id}").status_code == 404
