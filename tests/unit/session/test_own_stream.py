"""Chunks of any kind, written into a stream of their own."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.session_app import PATH, events_in, served
from tests.support.sources import say
from tests.support.stream_server import stream_server
from tests.support.waiting import aeventually
from webapp.session import DurableStream, DurableStreamTarget, finish_writes, to_durable_stream_response
from webapp.session.streams import AnyStream, opened


async def test_chunks_of_any_kind_in_a_stream_of_their_own(stream: AnyStream) -> None:
    written = [1, "two", {"three": [None]}, []]
    readable = dataclasses.replace(stream, read_url="https://read.example/42")

    async def handle(scope: Any, body: bytes) -> Any:
        return await to_durable_stream_response(say(*written), stream=readable, mode="await")

    async with served(handle) as client:
        reply = await client.post("/")
    assert reply.status_code == 200
    assert reply.headers["location"] == "https://read.example/42"
    assert reply.headers["access-control-expose-headers"] == "Location"
    assert reply.json()["streamUrl"] == "https://read.example/42"
    assert await events_in(stream) == written
    page = await _last_page(stream)
    assert page.closed
    assert reply.json()["finalOffset"] == page.next_offset


async def test_immediately_the_address_alone() -> None:
    async with stream_server() as server:
        target = DurableStreamTarget(write_url=f"{server.url}/a/b")
        go = asyncio.Event()

        async def handle(scope: Any, body: bytes) -> Any:
            return await to_durable_stream_response(
                say(1, until=go), stream=target, expose_location_header=False
            )

        async with served(handle) as client:
            reply = await client.post("/")
        assert (reply.status_code, reply.json()) == (201, {"streamUrl": f"{server.url}/a/b"})
        assert reply.headers["cache-control"] == "no-store"
        assert "access-control-expose-headers" not in reply.headers
        go.set()
        await finish_writes()
        assert await events_in(target) == [1, "bye"]
        assert (await _last_page(target)).closed


async def test_an_empty_source_leaves_a_closed_stream(embedded: DurableStream) -> None:
    readable = DurableStream(embedded.client, PATH, read_url="/r")
    await to_durable_stream_response(say(), stream=readable, mode="await")
    assert (await _last_page(embedded)).closed


@pytest.mark.parametrize("how", ["raises", "no json", "time limit", "shutdown", "stop"])
async def test_however_it_ends_it_is_closed(embedded: DurableStream, how: str) -> None:
    async def source() -> AsyncIterator[Any]:
        yield 1
        if how == "raises":
            raise ValueError("sk-123")
        if how == "no json":
            yield object()
        await asyncio.Event().wait()

    stop = asyncio.Event()
    await to_durable_stream_response(
        source(),
        stream=DurableStream(embedded.client, PATH, read_url="/r"),
        time_limit=0.02 if how == "time limit" else None,
        stop=stop,
    )

    async def begun() -> bool:
        return 1 in await events_in(embedded)

    await aeventually(begun)
    if how == "stop":
        stop.set()
    await finish_writes(grace=0 if how == "shutdown" else None)
    events = await events_in(embedded)
    assert (await _last_page(embedded)).closed
    if how == "stop":
        assert events == [1]
    else:
        codes = {"time limit": "time-limit", "shutdown": "interrupted"}
        assert [event.get("code") for event in events[1:]] == [codes.get(how, "agent-failed")]
    assert "sk-123" not in str(events)


async def test_a_stream_nobody_could_find_is_refused(embedded: DurableStream) -> None:
    with pytest.raises(ValueError, match="read_url"):
        await to_durable_stream_response(say(1), stream=embedded)


async def _last_page(stream: AnyStream) -> Any:
    async with opened(stream) as place:
        return await place.client.read(place.path, offset="-1")
