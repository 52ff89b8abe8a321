"""What a browser gets: pages, fragments, forms, static files, errors."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from tests.support.live_app import Chatter, LiveApp
from webapp.web.windows import VISIBLE_MESSAGES


def island(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="chat-data">(.*?)</script>', page, re.DOTALL)
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


def message_ids(page: str) -> list[str]:
    return re.findall(r'<article [^>]*data-message-id="([^" ]+)"', page)


def edges(page: str) -> dict[str, str]:
    """Where a window says that there is more."""
    return {kind: unescape(url) for kind, url in re.findall(r'<a class="edge (\w+)" href="([^"]+)"', page)}


def fragment_of(url: str) -> str:
    return url.replace("?", "/messages?")


def test_the_start_page_greets_a_guest_by_name(app: LiveApp) -> None:
    visitor = app.client()
    first = visitor.get("/")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    name = re.search(r"You are <b>([A-Z]\w+ [A-Z]\w+)</b>", first.text)
    assert name
    assert name[1] in visitor.get("/").text
    assert name[1] not in app.client().get("/").text


def test_head_tells_of_pages_and_never_redeems(app: LiveApp, ana: Chatter) -> None:
    for path in ("/", "/healthz", "/readyz", "/api/chats", app.app.state["assets"].url("css/app.css")):
        head, got = app.client().head(path), app.client().get(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
    assert app.client().head("/nowhere").status_code == 404
    # A link is opened by whoever means to, not by whoever looks whether it is alive.
    assert app.client().head(ana.link(ana.create_chat(), "chat")).status_code == 405


def test_the_cookie_names_the_participant_and_is_set_once(app: LiveApp) -> None:
    visitor = app.client()
    header = visitor.get("/").headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(header.split("; "))
    assert "Secure" not in header
    assert "set-cookie" not in visitor.get("/").headers


def test_a_guest_who_only_looks_is_not_stored(app: LiveApp) -> None:
    visitor = app.client()
    visitor.get("/")
    participant_id = app.services.cookies.read(visitor.cookies["durable-chat"])
    assert participant_id
    assert app.run(lambda services: services.catalog.people.get(participant_id)) is None
    visitor.post("/api/chats", json={})
    assert app.run(lambda services: services.catalog.people.get(participant_id)) is not None


def test_the_page_shows_the_conversation_and_where_to_go_on(ana: Chatter) -> None:
    chat_id = ana.create_chat(title="A <b>title</b>")
    ana.send(chat_id, "Say **hi** <script>alert(1)</script>", message_id="m-1")
    page = ana.http.get(f"/chat/{chat_id}").text
    data = island(page)
    assert message_ids(page) == [message["id"] for message in data["snapshot"]["messages"]]
    assert "<strong>hi</strong> &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "A &lt;b&gt;title&lt;/b&gt;" in page
    assert (data["role"], data["can"]) == ("manage", {"chat": True, "approve": True, "share": True})
    assert data["me"]["id"] == data["snapshot"]["messages"][0]["metadata"]["participantId"]
    assert data["offset"] == ana.http.get(f"/api/chats/{chat_id}/snapshot").json()["offset"]
    assert data["urls"] == {
        "send": f"/api/chat?id={chat_id}",
        "read": f"/api/chat-stream?id={chat_id}",
        "stop": "/api/chat/stop",
        "message": f"/chat/{chat_id}/messages/{{mid}}",
        "share": f"/api/chats/{chat_id}/shares",
        "chat": f"/api/chats/{chat_id}",
        "branch": f"/api/chats/{chat_id}/branch",
        "continue": "/api/chat/continue",
        "queue": "/api/chat/queue",
        "agents": f"/api/chats/{chat_id}/agents",
        "presence": f"/api/chats/{chat_id}/presence",
        "live": "/api/live",
        "seen": f"/api/chats/{chat_id}/read",
        "draft": f"/api/chats/{chat_id}/draft",
    }


def test_a_fragment_is_what_the_page_shows(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "# one\n\n```python\nprint(1)\n```", message_id="m-1")
    ana.send(chat_id, "two", message_id="m-2")
    page = ana.http.get(f"/chat/{chat_id}").text
    for message_id in message_ids(page):
        fragment = ana.http.get(f"/chat/{chat_id}/messages/{message_id}")
        assert fragment.status_code == 200
        assert fragment.text.strip() in page
    assert ana.http.get(f"/chat/{chat_id}/messages/no-such-message").status_code == 404


def test_a_viewer_reads_along(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "look")
    viewer = ana.invited(chat_id, "view")
    page = viewer.http.get(f"/chat/{chat_id}").text
    data = island(page)
    assert (data["role"], data["can"]) == ("view", {"chat": False, "approve": False, "share": False})
    assert 'id="composer"' not in page
    assert 'data-action="share"' not in page


def test_older_messages_come_in_windows(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    for number in range(VISIBLE_MESSAGES // 2 + 5):
        ana.send(chat_id, f"number {number}")
    everything = [message["id"] for message in ana.messages(chat_id)]
    page = ana.http.get(f"/chat/{chat_id}").text
    shown = message_ids(page)
    assert shown == everything[-VISIBLE_MESSAGES:]
    assert [message["id"] for message in island(page)["snapshot"]["messages"]] == shown
    older = edges(page)["older"]
    assert edges(page) == {"older": older}
    fragment = ana.http.get(fragment_of(older)).text
    assert message_ids(fragment) + shown == everything
    assert edges(fragment) == {"newer": f"/chat/{chat_id}?at={shown[0]}"}
    # The same as a page, for whoever has no JavaScript, and for a link to a message.
    above = ana.http.get(older).text
    assert message_ids(above) == message_ids(fragment)
    assert [message["id"] for message in island(above)["snapshot"]["messages"]] == shown
    below = ana.http.get(edges(above)["newer"]).text
    assert message_ids(below) == shown
    assert "newer" not in edges(below)
    assert message_ids(ana.http.get(f"/chat/{chat_id}/messages").text) == shown
    for path in (f"/chat/{chat_id}/messages", f"/chat/{chat_id}"):
        assert ana.http.get(path, params={"before": "nobody"}).status_code == 404
        assert ana.http.get(path, params={"at": "nobody"}).status_code == 404


def test_a_page_and_a_fragment_follow_the_version_they_are_asked_for(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    for number in (1, 2):
        ana.send(chat_id, f"number {number}", message_id=f"m-{number}")
    old = [message["id"] for message in ana.messages(chat_id)]
    edited = {"id": "m-new", "role": "user", "parts": [{"type": "text", "content": "number one"}]}
    body = {"messages": [edited | {"metadata": {"editOf": "m-1"}}]}
    ana.http.post("/api/chat", params={"id": chat_id, "mode": "await"}, json=body)
    path = f"/chat/{chat_id}"
    newest = message_ids(ana.http.get(path).text)
    assert (newest[0], len(newest)) == ("m-new", 2)
    page = ana.http.get(path, params={"at": "m-2"}).text
    assert message_ids(page) == old[2:]
    assert island(page)["choices"] == {"m-1": {"version": "m-1", "pin": None}}
    assert message_ids(ana.http.get(f"{path}/messages", params={"to": "m-2"}).text) == old
    for unknown in ("", "not-sent-yet"):
        assert message_ids(ana.http.get(f"{path}/messages", params={"to": unknown}).text) == newest


def test_the_forms_work_without_javascript(ana: Chatter) -> None:
    created = ana.http.post("/chats", data={"text": "first words"})
    assert created.status_code == 303
    address = created.headers["location"]
    chat_id = address.removeprefix("/chat/")
    sent = ana.http.post(address, data={"text": "more words", "messageId": "m-2"})
    assert (sent.status_code, sent.headers["location"]) == (303, address)
    people = [message for message in ana.messages(chat_id) if message["role"] == "user"]
    assert [message["parts"][0]["content"] for message in people] == ["first words", "more words"]
    assert people[1]["id"] == "m-2"
    empty = ana.http.post("/", data={"text": ""})
    assert empty.status_code == 303
    assert ana.messages(empty.headers["location"].removeprefix("/chat/")) == []


def test_a_refused_form_leaves_nothing_behind(ana: Chatter) -> None:
    before = ana.http.get("/api/chats").json()
    assert ana.http.post("/chats", data={"text": "x" * 300_000}).status_code == 413
    assert ana.http.get("/api/chats").json() == before
    chat_id = ana.create_chat()
    refused = ana.http.post(f"/chat/{chat_id}", data={"text": "  "})
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("text/html")
    assert ana.messages(chat_id) == []


def test_static_files_are_kept_for_ever_under_their_own_address(app: LiveApp) -> None:
    http = app.client()
    address = re.search(r'href="(/static/[0-9a-f]{12}/css/app\.css)"', http.get("/").text)
    assert address
    reply = http.get(address[1])
    assert reply.headers["content-type"] == "text/css; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["content-encoding"] == "gzip"
    plain = http.get(address[1], headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == reply.content
    assert len(gzip.compress(plain.content)) < len(plain.content)
    earlier = http.get("/static/000000000000/css/app.css")
    assert (earlier.status_code, earlier.headers["cache-control"]) == (200, "no-cache")
    for path in ("css/none.css", "../pyproject.toml", "%2e%2e/pyproject.toml", "vendor/README.md", ""):
        assert http.get(f"/static/{app.app.state['assets'].version}/{path}").status_code == 404


def test_everything_a_page_names_is_on_this_server(app: LiveApp, ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "![x](https://evil.example/x.png)")
    for path in ("/", f"/chat/{chat_id}", "/nowhere"):
        page = ana.http.get(path).text
        for address in re.findall(r' (?:src|action)="([^"]+)"|<link[^>]+href="([^"]+)"', page):
            target = address[0] or address[1]
            assert target.startswith("/")
            assert not target.startswith("//")
            if target.startswith("/static/"):
                assert ana.http.get(target).status_code == 200


def test_health(app: LiveApp) -> None:
    http = app.client()
    for path in ("/healthz", "/readyz"):
        assert (http.get(path).status_code, http.get(path).json()) == (200, {"status": "ok"})
    assert http.get("/readyz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    with LiveApp(tmp_path_factory.mktemp("open"), env={"DURABLE_CHAT_ACCESS": "open"}) as live:
        yield live


def test_with_open_access_an_unknown_id_becomes_a_chat(open_app: LiveApp) -> None:
    ana, ben = Chatter(open_app), Chatter(open_app)
    assert ana.http.get("/chat/from-a-page").status_code == 200
    assert ana.http.get("/api/chat-stream?id=from-a-read").json() == []
    assert ana.send("from-a-post", "hello").status_code == 200
    assert ben.send("from-a-post", "me too").status_code == 200
    assert len(ana.messages("from-a-post")) == 4
    assert ben.http.post("/api/chats/from-a-post/shares", json={"role": "view"}).status_code == 403
    for bad in ("short", "with.dots.in", "x" * 65, "umlaut-ä-here"):
        assert ana.http.get(f"/chat/{bad}").status_code == 404
        assert ana.http.get("/api/chat-stream", params={"id": bad}).status_code == 404


def test_the_embedded_stream_server_is_not_there_unless_asked_for(app: LiveApp) -> None:
    assert app.client().get("/v1/stream/chats/x").status_code == 404
