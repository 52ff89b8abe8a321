"""Requests that a browser sends on behalf of another site: refused where something happens or can be read."""

from __future__ import annotations

import pytest

from tests.security.routes import CHAT_ROUTES, FORM, ChatRoute
from tests.support.live_app import Chatter, LiveApp

WRITES = [route for route in CHAT_ROUTES if route.method not in {"GET", "HEAD"}]
STREAMED = {"/api/chat-stream", "/api/chat/sse", "/api/chat/ndjson"}
GUARDED = [
    *WRITES,
    *(route for route in CHAT_ROUTES if route.method == "GET" and route.template in STREAMED),
]

REFUSED = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "{ours}"},
]
ADMITTED = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "{ours}"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "{ours}"},
]


def of(app: LiveApp, headers: dict[str, str]) -> dict[str, str]:
    return {name: value.replace("{ours}", app.url) for name, value in headers.items()}


@pytest.fixture(scope="module")
def owner(app: LiveApp) -> tuple[Chatter, str, str]:
    chatter = Chatter(app)
    chat = chatter.http.post("/api/chats", json={}).json()
    chatter.send(chat["id"], "first", message_id="m-first")
    return chatter, chat["id"], chat["token"]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)
def test_another_site_is_refused(
    app: LiveApp, owner: tuple[Chatter, str, str], route: ChatRoute, headers: dict[str, str]
) -> None:
    chatter, chat_id, _ = owner
    reply = route.call(chatter.http, chat_id, headers=of(app, headers))
    assert reply.status_code == 403
    if route.path.startswith("/api/") and route.method != "HEAD":
        assert reply.json()["code"] == "cross-site"


@pytest.mark.parametrize("headers", ADMITTED, ids=str)
@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)
def test_our_own_pages_and_programs_are_admitted(
    app: LiveApp, owner: tuple[Chatter, str, str], route: ChatRoute, headers: dict[str, str]
) -> None:
    chatter, chat_id, _ = owner
    chat_id = chatter.create_chat() if route.uses_up else chat_id
    ready = route.ready(chatter, chat_id)
    assert ready.call(chatter.http, chat_id, headers=of(app, headers)).status_code == route.ok


@pytest.mark.parametrize("path", ["/", "/chats", "/api/chats"])
def test_another_site_creates_nothing(app: LiveApp, path: str) -> None:
    chatter = Chatter(app)
    options = {"json": {}} if path.startswith("/api") else {"content": "text=x"}
    headers = {} if path.startswith("/api") else FORM
    reply = chatter.http.post(path, headers=headers | {"Sec-Fetch-Site": "cross-site"}, **options)  # type: ignore[arg-type]
    assert reply.status_code == 403
    assert chatter.http.get("/api/chats").json() == {"chats": []}


def test_a_bearer_token_needs_no_origin(app: LiveApp, owner: tuple[Chatter, str, str]) -> None:
    chatter = owner[0]
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    for route in GUARDED:
        chat = chatter.http.post("/api/chats", json={}).json()
        chatter.send(chat["id"], "first", message_id="m-first")
        program = app.client(headers={"Authorization": f"Bearer {chat['token']}"})
        ready = route.ready(chatter, chat["id"])
        assert ready.call(program, chat["id"], headers=headers).status_code == route.ok, route.name


def test_pages_may_be_linked_to_from_anywhere(owner: tuple[Chatter, str, str]) -> None:
    chatter, chat_id, _ = owner
    for path in ("/", f"/chat/{chat_id}"):
        assert chatter.http.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "a b", "[::1"]
)
def test_a_host_that_is_not_ours_is_refused(owner: tuple[Chatter, str, str], host: str) -> None:
    chatter, chat_id, _ = owner
    for path in ("/", f"/chat/{chat_id}", f"/api/chats/{chat_id}/snapshot"):
        reply = chatter.http.get(path, headers={"Host": host})
        assert reply.status_code == 400
        assert chat_id not in reply.text


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "LOCALHOST:8000", "[::1]:8000", "127.0.0.1"])
def test_loopback_names_are_ours_on_any_port(app: LiveApp, host: str) -> None:
    assert app.client().get("/", headers={"Host": host}).status_code == 200
