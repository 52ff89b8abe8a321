"""Live reads over HTTP: many readers, one read of the server, nothing lost and nothing left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from tests.support.sse import SseReader
from tests.support.stream_server import StreamServer, stream_server
from tests.support.waiting import aeventually
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.clients.retry import Retry
from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.wire import WireRequest, WireResponse

PATIENCE = Patience(
    retry=Retry(base=0.005, cap=0.02),
    reconnect=Retry(base=0.005, cap=0.05),
    linger=0.2,
    brief=0.0,
    recent=2000,
)
NOW = 1_800_000_000.0
LIMITS = StreamLimits(ping_interval=0.5)


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    async with stream_server(clock=lambda: NOW) as server:
        yield server


@pytest.fixture
async def drain() -> Drain:
    return Drain()


@pytest.fixture
async def client(server: StreamServer, drain: Drain) -> AsyncIterator[HttpStreamClient]:
    client = HttpStreamClient(server.url, limits=LIMITS, patience=PATIENCE, drain=drain, clock=lambda: NOW)
    await client.ensure("s")
    yield client
    await client.aclose()


def sse(offset: str = "-1", path: str = "s") -> WireRequest:
    return WireRequest(method="GET", path=path, query=(("offset", offset), ("live", "sse")))


class Reader:
    """Follows a stream through ``forward`` and collects what its data events say."""

    def __init__(self, reply: WireResponse) -> None:
        assert reply.status == 200
        assert not isinstance(reply.body, bytes)
        self.frames = reply.body
        self.items: list[object] = []
        self.offset = ""
        self.ended = False
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in self.frames:
            for event in SseReader().feed(frame):
                if event.event == "data":
                    self.items += event.json()
                elif event.event == "control":
                    self.offset = event.json()["streamNextOffset"]
        self.ended = True

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_all_readers_share_one_read_of_the_server(
    client: HttpStreamClient, server: StreamServer
) -> None:
    readers = [Reader(await client.forward(sse())) for _ in range(30)]
    for n in range(50):
        await client.append("s", [b"%d" % n])
        if n % 10 == 0:
            readers.append(Reader(await client.forward(sse())))
    await aeventually(lambda: all(reader.items == list(range(50)) for reader in readers))
    assert server.live_requests() == 1
    assert server.slots.taken == 1
    assert client.tails == 1
    for reader in readers:
        await reader.leave()
    await aeventually(lambda: (client.tails, server.slots.taken) == (0, 0), what="the tail to end")


async def test_who_comes_back_finds_the_tail_still_there(server: StreamServer) -> None:
    patience = replace(PATIENCE, linger=60.0)
    async with aclosing(HttpStreamClient(server.url, limits=LIMITS, patience=patience)) as client:
        await client.ensure("s")
        for _ in range(5):
            reader = Reader(await client.forward(sse()))
            await aeventually(lambda: client.tails == 1)
            await reader.leave()
        assert server.live_requests() == 1


async def test_who_is_known_to_be_up_to_date_is_served_without_asking(
    client: HttpStreamClient, server: StreamServer
) -> None:
    first = Reader(await client.forward(sse()))
    await client.append("s", [b"1"])
    await aeventually(lambda: first.items == [1])
    asked = len(server.requests)
    second = Reader(await client.forward(sse(first.offset)))
    await aeventually(lambda: second.offset == first.offset)
    assert len(server.requests) == asked
    await first.leave()
    await second.leave()


async def test_a_reader_who_stopped_reading_catches_up_from_the_server(client: HttpStreamClient) -> None:
    quick = Reader(await client.forward(sse()))
    reply = await client.forward(sse())
    assert not isinstance(reply.body, bytes)
    first = await anext(reply.body)  # and then nothing for a while
    for n in range(200):
        await client.append("s", [b'"%03d%b"' % (n, b"x" * 50)])
    await aeventually(lambda: len(quick.items) == 200)
    slow = Reader(WireResponse(status=200, body=reply.body))
    await aeventually(lambda: slow.items == quick.items)
    assert b'"upToDate":true' in first
    await quick.leave()
    await slow.leave()


async def test_readers_of_every_kind_of_stream_get_what_local_ones_get(
    client: HttpStreamClient, server: StreamServer
) -> None:
    local = LocalStreamClient(server.engine)
    for path, kind, bodies in [
        ("j", "application/json; charset=utf-8", [b"[1,[2]]", b'{"a": "\xe2\x80\xa8"}']),
        ("t", "text/plain", [b"one\ntwo\n", b" three", b"\xe2\x82\xac"]),
        ("b", "application/octet-stream", [bytes(range(256)), b"\x00"]),
    ]:
        headers = {"content-type": kind}
        engine = server.engine
        await engine.handle(WireRequest(method="PUT", path=path, headers=headers))
        over_http, here = await client.forward(sse(path=path)), await local.forward(sse(path=path))
        assert over_http.headers == here.headers
        assert not isinstance(over_http.body, bytes)
        assert not isinstance(here.body, bytes)
        assert await anext(over_http.body) == await anext(here.body)
        for body in bodies:
            await engine.handle(WireRequest(method="POST", path=path, headers=headers, body=body))
            assert await anext(over_http.body) == await anext(here.body)
        await engine.handle(WireRequest(method="POST", path=path, headers={"stream-closed": "true"}))
        rest = [[frame async for frame in frames] for frames in (over_http.body, here.body)]
        assert rest[0] == rest[1]


async def test_pings_lifetime_and_drain_are_ours(server: StreamServer, drain: Drain) -> None:
    limits = StreamLimits(ping_interval=0.02, sse_lifetime=0.2)
    client = HttpStreamClient(server.url, limits=limits, patience=PATIENCE, drain=drain)
    await client.ensure("s")
    reply = await client.forward(sse())
    assert not isinstance(reply.body, bytes)
    frames = [frame async for frame in reply.body]
    assert frames.count(b": ping\n\n") >= 3
    await client.aclose()


async def test_a_draining_server_sends_a_last_control_event(client: HttpStreamClient, drain: Drain) -> None:
    reader = Reader(await client.forward(sse()))
    await aeventually(lambda: client.tails == 1)
    drain.set()
    await aeventually(lambda: reader.ended)


async def test_a_deleted_stream_ends_its_readers(client: HttpStreamClient) -> None:
    reader = Reader(await client.forward(sse()))
    await aeventually(lambda: client.tails == 1)
    await client.delete("s")
    await aeventually(lambda: reader.ended)
    await aeventually(lambda: client.tails == 0)
    assert (await client.forward(sse())).status == 404


async def test_readers_that_come_and_go_leave_nothing_behind(
    client: HttpStreamClient, server: StreamServer
) -> None:
    def held() -> tuple[int, int, int]:
        return (len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")), server.slots.taken)

    async def come_and_go(patience: float) -> None:
        reader = Reader(await client.forward(sse()))
        await asyncio.sleep(patience)
        reader.task.cancel()
        await asyncio.sleep(0)
        reader.task.cancel()
        await asyncio.gather(reader.task, return_exceptions=True)

    async def abandoned() -> None:
        task = asyncio.create_task(client.forward(sse("now")))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await come_and_go(0)
    await aeventually(lambda: client.tails == 0)
    # Idle connections are kept for some seconds; what must not grow is what they are counted from.
    await client.aclose()
    await aeventually(lambda: server.slots.taken == 0)
    before = held()
    for _ in range(3):
        client = HttpStreamClient(server.url, limits=LIMITS, patience=PATIENCE)
        await asyncio.gather(*(come_and_go(n / 1000) for n in range(40)), *(abandoned() for _ in range(40)))
        await client.aclose()
    await aeventually(lambda: held() == before, what=f"{before} again")


async def test_a_reply_that_is_never_read_is_let_go(client: HttpStreamClient, server: StreamServer) -> None:
    await client.append("s", [b'"%b"' % (b"x" * 3_000_000)])
    reply = await client.forward(WireRequest(method="GET", path="s", query=(("offset", "-1"),)))
    assert not isinstance(reply.body, bytes)
    close = reply.body.aclose  # type: ignore[attr-defined]
    await close()
    await aeventually(lambda: server.connections == 0)


async def test_closing_ends_everyone(client: HttpStreamClient) -> None:
    reader = Reader(await client.forward(sse()))
    following = asyncio.create_task(_all(client))
    await aeventually(lambda: client.tails == 1)
    await client.aclose()
    await aeventually(lambda: reader.ended and following.done())


async def _all(client: HttpStreamClient) -> list[bytes]:
    return [message async for page in client.tail("s", offset="-1") for message in page.messages]
