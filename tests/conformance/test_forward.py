"""One read, every way: by socket, from either carrier, by the local client, by the client over HTTP. The
answers are the same.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.sse import SseEvent, SseReader
from tests.support.stream_server import BASE_PATH, StreamServer, stream_server, url_of
from webapp.streams.clients.base import StreamClient
from webapp.streams.clients.http import HttpStreamClient
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.http1 import HttpServer
from webapp.streams.limits import StreamLimits
from webapp.streams.service import StreamsService
from webapp.streams.wire import WireRequest

NOW = 1_800_000_000.0
# An SSE answer is read until it is up to date: when the server would end it decides nothing.
LIMITS = StreamLimits(long_poll_timeout=0.05, sse_lifetime=60, page_bytes=4000, page_messages=5)

OF_THE_TRANSPORT = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "connection",
    "content-length",
    "cross-origin-resource-policy",
    "date",
    "server",
    "transfer-encoding",
    "x-content-type-options",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes | list[SseEvent]


class House:
    """A stream server with some of everything in it, and the ways to it."""

    def __init__(self, server: StreamServer, *, http1_url: str) -> None:
        self.server = server
        self.asgi = self._client(server.url)
        self.http1 = self._client(http1_url)
        self.local = LocalStreamClient(server.engine)
        self.http = HttpStreamClient(server.url, limits=LIMITS, clock=lambda: NOW)
        self.offsets: dict[str, str] = {}

    @staticmethod
    def _client(url: str) -> httpx.AsyncClient:
        # It lets go of an idle connection before the server does: nothing here is sent twice.
        limits = httpx.Limits(keepalive_expiry=1.0)
        return httpx.AsyncClient(base_url=url, trust_env=False, timeout=20, limits=limits)

    async def furnish(self) -> None:
        await self._put("empty", "application/json")
        await self._put(
            "json",
            "application/json; charset=utf-8",
            *[b'{"n":%d,"u":"\xe2\x80\xa8"}' % n for n in range(12)],
        )
        await self._put("closed", "application/json", b"1", b"[2]", close=True)
        await self._put("text", "text/plain", b"one\ntwo\r\nthree", b" four")
        await self._put("bytes", "application/octet-stream", bytes(range(256)) * 40, b"\x00")
        await self._put("long", "application/json", b'"%b"' % (b"x" * 20_000))
        await self._put("brief", "text/plain", b"x", headers={"stream-ttl": "3600"})
        await self._put("doomed", "text/plain", b"x", headers={"stream-expires-at": "2099-01-01T00:00:00Z"})
        await self._put("source", "application/json", b"1", b"2")
        await self._put("fork", "", headers={"stream-forked-from": "source"})
        await self._do("DELETE", "source")
        await self._put("with%20space/%E2%82%AC", "application/json", b"1")

    async def _put(
        self, path: str, kind: str, *bodies: bytes, close: bool = False, headers: dict[str, str] | None = None
    ) -> None:
        await self._do("PUT", path, headers={**({"content-type": kind} if kind else {}), **(headers or {})})
        for body in bodies:
            await self._do("POST", path, headers={"content-type": kind}, body=body)
        if close:
            await self._do("POST", path, headers={"stream-closed": "true"})
        self.offsets[path] = await self._do("HEAD", path)

    async def _do(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> str:
        reply = await self.server.engine.handle(
            WireRequest(method=method, path=path, headers=headers or {}, body=body)
        )
        assert reply.status < 300, (path, reply)
        return reply.header("stream-next-offset") or ""

    async def by_socket(self, client: httpx.AsyncClient, request: WireRequest) -> Answer:
        # As ``target`` the path is sent as it is; a URL would be put in order first.
        target = f"{BASE_PATH}/{request.path}?{urlencode(request.query)}".encode()
        async with client.stream(
            request.method, "/", headers=request.headers, extensions={"target": target}
        ) as reply:
            return await answer(reply.status_code, list(reply.headers.items()), reply.aiter_bytes())

    async def by(self, client: StreamClient, request: WireRequest) -> Answer:
        reply = await client.forward(request)
        if isinstance(reply.body, bytes):
            body = b"" if request.method == "HEAD" else reply.body
            return await answer(reply.status, list(reply.headers), one_piece(body))
        try:
            return await answer(reply.status, list(reply.headers), reply.body)
        finally:
            if (close := getattr(reply.body, "aclose", None)) is not None:
                await close()


async def one_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def answer(status: int, headers: list[tuple[str, str]], pieces: AsyncIterator[bytes]) -> Answer:
    kept = {name.lower(): value for name, value in headers if name.lower() not in OF_THE_TRANSPORT}
    if kept.get("content-type") != "text/event-stream":
        return Answer(status, kept, b"".join([piece async for piece in pieces]))
    reader = SseReader()
    events: list[SseEvent] = []
    async for piece in pieces:
        events += [event for event in reader.feed(piece) if event.event != ":"]
        if events and events[-1].event == "control" and json.loads(events[-1].data).get("upToDate"):
            break
    return Answer(status, kept, events)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with stream_server(limits=LIMITS, clock=lambda: NOW) as server:
        with socket.create_server(("127.0.0.1", 0)) as listen:
            http1 = HttpServer(StreamsService(server.engine, base_path=BASE_PATH, slots=server.slots))
            await http1.start(listen)
            house = House(server, http1_url=url_of(listen.getsockname()[1]))
            await house.furnish()
            yield house
            for client in (house.http, house.asgi, house.http1):
                await client.aclose()
            await http1.aclose(grace=1.0)


def requests_for(house: House, rng: Random) -> list[WireRequest]:
    paths = [*house.offsets, "missing", "gone/../up", "__ds/x", "a//b", "x%00"]
    offsets: list[tuple[str, ...]] = [
        (),
        ("-1",),
        ("now",),
        ("",),
        ("x",),
        ("-1", "-1"),
        ("tail",),
        ("middle",),
        ("9" * 16 + "_" + "9" * 16,),
        ("1 2",),
    ]
    lives: list[tuple[str, ...]] = [(), ("sse",), ("long-poll",), ("nonsense",), ("sse", "sse")]
    everything = list(
        itertools.product(
            paths, offsets, lives, ["GET", "GET", "GET", "HEAD"], [None, "1", "x"], [False, True]
        )
    )
    requests = []
    for path, offset, live, method, cursor, conditional in rng.sample(everything, 300):
        tail = house.offsets.get(path, "0" * 16 + "_" + "0" * 16)
        places = {"tail": tail, "middle": tail[:-1] + str(int(tail[-1]) // 2)}
        query = [("offset", places.get(value, value)) for value in offset]
        query += [("live", value) for value in live]
        query += [("cursor", cursor)] if cursor else []
        headers = {"if-none-match": f'"{tail}:{tail}"'} if conditional else {}
        requests.append(WireRequest(method=method, path=path, query=tuple(query), headers=headers))
    # Chance need not come by here: what a reader is told who has everything already.
    tail = house.offsets["json"]
    has_it = {"if-none-match": f'"{tail}:{tail}"'}
    requests.append(WireRequest(method="GET", path="json", query=(("offset", tail),), headers=has_it))
    return requests


async def test_the_same_answers_by_every_way(house: House, rng: Random) -> None:
    async def compare(request: WireRequest) -> int:
        expected = await house.by_socket(house.http1, request)
        assert await house.by_socket(house.asgi, request) == expected, request
        assert await house.by(house.local, request) == expected, request
        assert await house.by(house.http, request) == expected, request
        return expected.status

    statuses = []
    requests = requests_for(house, rng)
    for at in range(0, len(requests), 20):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(compare(request)) for request in requests[at : at + 20]]
        statuses += [task.result() for task in tasks]
    assert {200, 204, 304, 400, 404} <= set(statuses)
