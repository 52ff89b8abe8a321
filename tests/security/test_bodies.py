"""Bodies nobody should send: the stated status, one sentence, nothing stored, nothing broken."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.support.live_app import Chatter, LiveApp
from webapp.web.bodies import MAX_BODY_BYTES, MAX_JSON_DEPTH

JSON = {"Content-Type": "application/json"}
TEXT = {"type": "text", "content": "hello"}


def message(**changes: Any) -> dict[str, Any]:
    return {"id": "m", "role": "user", "parts": [TEXT], **changes}


def nested(depth: int) -> bytes:
    """``{"messages": …}`` with lists inside, ``depth`` containers deep."""
    return b'{"messages":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.fixture(scope="module")
def chat(app: LiveApp) -> tuple[Chatter, str]:
    chatter = Chatter(app)
    return chatter, chatter.create_chat()


def refused(reply: Any, status: int, code: str | None = None) -> None:
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert set(body) == {"error", "code"}
    assert body["error"]
    assert "\n" not in body["error"]
    assert "Traceback" not in body["error"]
    assert code in (None, body["code"])


RAW = [
    (b"", 400),
    (b"{", 400),
    (b"null", 400),
    (b"[]", 400),
    (b'"text"', 400),
    (b"{}", 400),
    (b'{"messages": NaN}', 400),
    (b'{"messages": []} trailing', 400),
    (b"\xff\xfe{}", 400),
    (b'{"messages": [{"id":"m","role":"user","content":"\\ud800"}]}', 400),
    (b"[" * 100_000, 400),
    (b"[" * 100_000 + b"]" * 100_000, 400),
    (b'{"a":' * 100_000, 400),
    (nested(MAX_JSON_DEPTH + 1), 400),
]


@pytest.mark.parametrize(("body", "status"), RAW, ids=lambda value: repr(value)[:40])
def test_what_is_not_a_request(chat: tuple[Chatter, str], body: bytes, status: int) -> None:
    chatter, chat_id = chat
    refused(chatter.http.post(f"/api/chat?id={chat_id}", content=body, headers=JSON), status)
    assert chatter.messages(chat_id) == []


BODIES: list[tuple[dict[str, Any], int]] = [
    ({"messages": "hello"}, 400),
    ({"messages": [1, None, "x"]}, 400),
    ({"messages": [message(role="assistant")]}, 400),
    ({"messages": [message(parts=[])]}, 400),
    ({"messages": [message(parts=[{"type": "text", "content": ""}])]}, 400),
    ({"messages": [message(parts=[{"type": "text", "content": " \n\t "}])]}, 400),
    ({"messages": [message(parts=[{"type": "text", "content": 5}])]}, 400),
    ({"messages": [message(parts=[{"type": "video-game"}])]}, 400),
    ({"messages": [message(id=7)]}, 400),
    ({"messages": [message(id="x" * 129)]}, 400),
    ({"messages": [message(id="a/b")]}, 400),
    ({"messages": [message()], "runId": 5}, 400),
    ({"messages": [message()], "runId": ""}, 400),
    ({"messages": [message()], "runId": "x" * 129}, 400),
    ({"messages": [message()], "runId": "a\nb"}, 400),
    ({"messages": [message()], "parentRunId": "x" * 129}, 400),
    ({"messages": [message(id="..")]}, 400),
    ({"messages": [message()], "data": [1]}, 400),
    ({"messages": [message(parts=[{"type": "text", "content": "x" * 1_000_000}])]}, 413),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=lambda value: repr(value)[:60])
def test_what_is_not_a_message(chat: tuple[Chatter, str], body: dict[str, Any], status: int) -> None:
    chatter, chat_id = chat
    refused(chatter.http.post(f"/api/chat?id={chat_id}", json=body), status)
    assert chatter.messages(chat_id) == []


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_json_must_say_so(chat: tuple[Chatter, str], content_type: str) -> None:
    """A form or plain text is what another site can make a browser send without asking."""
    chatter, chat_id = chat
    headers = {"Content-Type": content_type}
    paths = [f"/api/chat?id={chat_id}", "/api/chat/stop", "/api/chats", f"/api/chats/{chat_id}/shares"]
    for path in paths:
        reply = chatter.http.post(path, content=b'{"messages":[]}', headers=headers)
        refused(reply, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chats", {"title": 5}),
        ("/api/chats", {"title": "x" * 201}),
        ("/api/chats", []),
        ("/api/chats/{chat}/shares", {"role": "owner"}),
        ("/api/chat/stop", {}),
        ("/api/chat/stop", {"id": 5}),
        ("/api/chat/stop", {"id": "{chat}", "runId": ""}),
    ],
    ids=str,
)
def test_small_bodies_have_a_shape(chat: tuple[Chatter, str], path: str, body: Any) -> None:
    chatter, chat_id = chat
    refused(chatter.http.post(path.replace("{chat}", chat_id), json=body), 400, "malformed")


def test_the_history_in_a_body_is_not_counted_and_not_kept(chat: tuple[Chatter, str]) -> None:
    chatter, _ = chat
    chat_id = chatter.create_chat()
    old = [message(id=f"old-{n}", parts=[{"type": "text", "content": "x" * 200_000}]) for n in range(10)]
    reply = chatter.http.post(f"/api/chat?id={chat_id}", json={"messages": [*old, message(id="new")]})
    assert reply.status_code == 202
    assert chatter.messages(chat_id)[0]["id"] == "new"


def test_a_body_that_is_too_large_is_refused_when_announced(app: LiveApp, chat: tuple[Chatter, str]) -> None:
    chatter, chat_id = chat
    head = _head(app, chatter, chat_id, f"Content-Length: {MAX_BODY_BYTES + 1}")
    assert _exchange(app, head).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_is_too_large_is_refused_when_counted(app: LiveApp, chat: tuple[Chatter, str]) -> None:
    chatter, chat_id = chat
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    head = _head(app, chatter, chat_id, "Transfer-Encoding: chunked")
    assert _exchange(app, head, *([chunk] * 9)).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_is_given_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    env = {"DURABLE_CHAT_BODY_TIMEOUT": "0.2"}
    with LiveApp(tmp_path_factory.mktemp("slow"), env=env) as app:
        chatter = Chatter(app)
        chat_id = chatter.create_chat()
        reply = _exchange(app, _head(app, chatter, chat_id, "Content-Length: 100"), b'{"mess')
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"timeout"' in reply


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/chat"), ("DELETE", "/api/chats"), ("PUT", "/"), ("POST", "/healthz")]
)
def test_a_method_that_is_not_offered(chat: tuple[Chatter, str], method: str, path: str) -> None:
    reply = chat[0].http.request(method, path)
    assert reply.status_code == 405
    assert reply.headers["allow"]


def test_reads_with_nonsense_in_the_query(chat: tuple[Chatter, str]) -> None:
    chatter, chat_id = chat
    for query in (
        "offset=",
        "offset=x",
        "offset=1&offset=2",
        "live=sse",
        "offset=%00",
        "offset=..%2f",
        "offset=-1%0d%0a",
    ):
        refused(chatter.http.get(f"/api/chat-stream?id={chat_id}&{query}"), 400)
    for query in ("", "id=", f"id={chat_id}x", f"id={chat_id}%00", f"id=..%2f{chat_id}", "id=a&id=b"):
        refused(chatter.http.get(f"/api/chat-stream?{query}"), 404)


def _head(app: LiveApp, chatter: Chatter, chat_id: str, length: str) -> bytes:
    lines = [
        f"POST /api/chat?id={chat_id} HTTP/1.1",
        f"Host: {app.url.removeprefix('http://')}",
        f"Cookie: durable-chat={chatter.http.cookies['durable-chat']}",
        "Content-Type: application/json",
        "Connection: close",
        length,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _exchange(app: LiveApp, *pieces: bytes) -> bytes:
    """What the server answers to ``pieces``, of which it may refuse the later ones."""
    host, port = app.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass
        reply = b""
        try:
            while more := connection.recv(65536):
                reply += more
        except ConnectionResetError:
            pass
    return reply
