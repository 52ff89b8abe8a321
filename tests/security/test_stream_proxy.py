"""A stream server that has turned hostile: nothing of it reaches a browser but the protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.live_app import Chatter, LiveApp
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.memory import MemoryStore
from webapp.streams.wire import Headers, WireRequest, WireResponse

SECRET = "upstream-secret"
HOSTILE: Headers = (
    ("Set-Cookie", f"durable-chat={SECRET}"),
    ("Location", "http://169.254.169.254/"),
    ("Access-Control-Allow-Origin", "*"),
    ("Content-Encoding", "gzip"),
    ("Transfer-Encoding", "chunked"),
    ("Connection", "close"),
    ("Server", SECRET),
    ("X-Powered-By", SECRET),
    ("Cache-Control", "public, max-age=31536000"),
    ("Content-Security-Policy", "default-src *"),
    ("Refresh", "0; url=https://evil.example/"),
    ("Clear-Site-Data", '"*"'),
    ("Content-Type", "application/json"),
    ("Stream-Next-Offset", "1"),
)


class HostileStreams(LocalStreamClient):
    """Behaves inside, and answers reads of browsers with ``reply``."""

    def __init__(self) -> None:
        super().__init__(Engine(MemoryStore()))
        self.reply = WireResponse(status=200, headers=HOSTILE, body=b"[]")
        self.asked: list[WireRequest] = []

    async def forward(self, request: WireRequest) -> WireResponse:
        self.asked.append(request)
        return self.reply


@pytest.fixture(scope="module")
def streams() -> HostileStreams:
    return HostileStreams()


@pytest.fixture(scope="module")
def reader(
    tmp_path_factory: pytest.TempPathFactory, streams: HostileStreams
) -> Iterator[tuple[Chatter, str]]:
    with LiveApp(tmp_path_factory.mktemp("proxy"), streams=lambda: streams) as live:
        chatter = Chatter(live)
        yield chatter, chatter.create_chat()


def test_its_headers_stay_outside(reader: tuple[Chatter, str], streams: HostileStreams) -> None:
    chatter, chat_id = reader
    streams.reply = WireResponse(status=200, headers=HOSTILE, body=b"[]")
    reply = chatter.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"})
    assert (reply.status_code, reply.content) == (200, b"[]")
    assert reply.headers["stream-next-offset"] == "1"
    assert reply.headers["cache-control"] == "private, no-cache"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    for name in (
        "set-cookie",
        "location",
        "access-control-allow-origin",
        "content-encoding",
        "server",
        "refresh",
    ):
        assert name not in reply.headers
    assert SECRET not in str(reply.headers)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (301, 503),
        (302, 503),
        (307, 503),
        (401, 503),
        (403, 503),
        (404, 404),
        (410, 410),
        (429, 503),
        (500, 503),
        (502, 503),
    ],
)
def test_its_errors_are_told_in_our_words(
    reader: tuple[Chatter, str], streams: HostileStreams, status: int, shown: int
) -> None:
    chatter, chat_id = reader
    headers = (*HOSTILE, ("Retry-After", "7"))
    streams.reply = WireResponse(status=status, headers=headers, body=SECRET.encode())
    reply = chatter.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"})
    assert reply.status_code == shown
    assert set(reply.json()) == {"error", "code"}
    assert SECRET not in reply.text + str(reply.headers)
    assert "location" not in reply.headers
    assert reply.headers.get("retry-after") == ("7" if shown == 503 else None)


def test_only_the_protocol_goes_up(reader: tuple[Chatter, str], streams: HostileStreams) -> None:
    chatter, chat_id = reader
    streams.asked.clear()
    chatter.http.get(
        "/api/chat-stream",
        params={"id": chat_id, "offset": "-1", "path": "../other", "__ds": "x", "token": "y"},
        headers={
            "If-None-Match": '"tag"',
            "X-Forwarded-For": "1.2.3.4",
            "Stream-Closed": "true",
            "Range": "bytes=0-",
        },
    )
    (request,) = streams.asked
    assert (request.method, request.path, request.body) == ("GET", f"chats/{chat_id}", b"")
    assert request.query == (("offset", "-1"),)
    assert dict(request.headers) == {"if-none-match": '"tag"'}
