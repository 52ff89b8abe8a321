"""Stream clients, here and over HTTP: what the chat may rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.node_streams import NodeStreamServer
from tests.support.stream_server import stream_server
from webapp.streams.clients.base import (
    InvalidRequest,
    PayloadTooLarge,
    ProducerTuple,
    StaleEpoch,
    StreamClient,
    StreamClosed,
    StreamConflict,
    StreamNotFound,
)
from webapp.streams.clients.http import HttpStreamClient
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.store.memory import MemoryStore
from webapp.streams.wire import WireRequest


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture(params=["local", "http", "node", "node-memory"])
async def client(request: pytest.FixtureRequest, drain: Drain, tmp_path: Path) -> AsyncIterator[StreamClient]:
    """Over HTTP the server is ours or, as ``node``, the reference server."""
    limits = StreamLimits(max_append_bytes=1000, page_messages=2)
    if request.param == "local":
        yield LocalStreamClient(Engine(MemoryStore(), limits=limits, drain=drain))
        return
    async with AsyncExitStack() as stack:
        if request.param == "http":
            url = (await stack.enter_async_context(stream_server(limits=limits, drain=drain))).url
        else:
            memory = request.param == "node-memory"
            url = stack.enter_context(NodeStreamServer(tmp_path / "node", memory=memory)).streams_url
        over_http = HttpStreamClient(url, limits=limits, drain=drain)
        yield over_http
        await over_http.aclose()


async def test_ensure_append_read(client: StreamClient) -> None:
    start = await client.ensure("chats/a")
    assert await client.ensure("chats/a") == start
    receipt = await client.append("chats/a", [b'{"a":\n1}', b"2"])
    assert not receipt.duplicate
    page = await client.read("chats/a")
    assert page.messages == (b'{"a":1}', b"2")
    assert page.next_offset == receipt.offset
    assert page.up_to_date
    assert (await client.read("chats/a", offset=receipt.offset)).messages == ()


async def test_pages_are_bounded_and_lead_to_the_end(client: StreamClient) -> None:
    await client.ensure("s")
    for n in range(5):
        await client.append("s", [b"%d" % n])
    found: list[bytes] = []
    page = await client.read("s")
    while not page.up_to_date:
        found += page.messages
        page = await client.read("s", offset=page.next_offset)
    assert [*found, *page.messages] == [b"0", b"1", b"2", b"3", b"4"]


async def test_producers(client: StreamClient) -> None:
    await client.ensure("s")
    first = await client.append("s", [b"1"], producer=ProducerTuple("p", 1, 0))
    again = await client.append("s", [b"1"], producer=ProducerTuple("p", 1, 0))
    assert (first.duplicate, again.duplicate) == (False, True)
    assert first.offset == again.offset
    with pytest.raises(StaleEpoch):
        await client.append("s", [b"1"], producer=ProducerTuple("p", 0, 0))


async def test_refusals_are_types(client: StreamClient) -> None:
    with pytest.raises(StreamNotFound):
        await client.append("s", [b"1"])
    with pytest.raises(StreamNotFound):
        await client.read("s")
    with pytest.raises(InvalidRequest):
        await client.ensure("../s")
    await client.ensure("s")
    for nothing in ([], [b""]):
        with pytest.raises(InvalidRequest):
            await client.append("s", nothing)
    with pytest.raises(InvalidRequest):
        await client.read("s", offset="x")
    with pytest.raises(PayloadTooLarge):
        await client.append("s", [b"1" * 1001])
    with pytest.raises(StreamConflict):
        await client.ensure("s", content_type="text/plain")
    await client.append("s", [], close=True)
    with pytest.raises(StreamClosed):
        await client.append("s", [b"1"])


async def test_tail_follows_until_the_stream_is_closed(client: StreamClient) -> None:
    offset = await client.ensure("s")

    async def follow() -> list[bytes]:
        return [message async for page in client.tail("s", offset=offset) for message in page.messages]

    following = asyncio.create_task(follow())
    for n in range(10):
        await client.append("s", [b"%d" % n])
        await asyncio.sleep(0)
    await client.append("s", [b"10"], close=True)
    assert await following == [b"%d" % n for n in range(11)]


async def test_tail_ends_when_the_stream_goes_or_the_server_drains(
    client: StreamClient, drain: Drain
) -> None:
    offset = await client.ensure("s")

    async def follow() -> None:
        async for _ in client.tail("s", offset=offset):
            pass

    deleted = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await client.delete("s")
    with pytest.raises(StreamNotFound):
        await deleted
    offset = await client.ensure("s")
    drained = asyncio.create_task(follow())
    await asyncio.sleep(0)
    drain.set()
    await drained


async def test_fork_and_forward(client: StreamClient) -> None:
    await client.ensure("s")
    await client.append("s", [b"1", b"2"])
    tail = await client.fork("s", "f", offset="-1", sub_offset=1)
    assert (await client.read("f")).next_offset == tail
    reply = await client.forward(WireRequest(method="GET", path="f", query=(("offset", "-1"),)))
    assert (reply.status, reply.body) == (200, b"[1]")
