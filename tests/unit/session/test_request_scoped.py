"""Runs as the response itself, read from a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.chats import check_runs
from tests.support.session_app import served
from tests.support.sse import SseReader
from tests.support.waiting import aeventually
from webapp.agents.base import AgentError
from webapp.session import (
    to_http_stream,
    to_http_stream_response,
    to_server_sent_events_response,
    to_server_sent_events_stream,
)

Respond = Callable[..., Any]
BOTH = pytest.mark.parametrize("respond", [to_server_sent_events_response, to_http_stream_response])


def read(body: bytes, content_type: str) -> list[Any]:
    """The chunks of a whole reply, without its pings."""
    if content_type == "text/event-stream":
        return [event.json() for event in SseReader().feed(body) if event.event != ":"]
    return [json.loads(line) for line in body.split(b"\n") if line]


async def say(*pieces: Any) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


@BOTH
async def test_a_whole_run(respond: Respond) -> None:
    async def handle(scope: Any, body: bytes) -> Any:
        return respond(say("Hel", "lo"), run_id="r", thread_id="t", clock=lambda: 1.5)

    async with served(handle) as client:
        reply = await client.post("/")
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-accel-buffering"] == "no"
    chunks = read(reply.content, reply.headers["content-type"])
    check_runs(chunks)
    assert chunks[0] == {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "timestamp": 1500}
    assert [chunk["delta"] for chunk in chunks if "delta" in chunk] == ["Hel", "lo"]


@BOTH
async def test_headers_and_status_are_the_apps(respond: Respond) -> None:
    async def handle(scope: Any, body: bytes) -> Any:
        return respond(say(), status=203, headers={"cache-control": "private", "X-A": "b"})

    async with served(handle) as client:
        reply = await client.post("/")
    assert reply.status_code == 203
    assert reply.headers.get_list("cache-control") == ["private"]
    assert reply.headers["x-a"] == "b"


@BOTH
@pytest.mark.parametrize("error", [ValueError("sk-123"), AgentError("No credit.", code="no-credit")])
async def test_a_failure_is_told_once_and_in_our_words(respond: Respond, error: Exception) -> None:
    async def source() -> AsyncIterator[str]:
        yield "Well"
        raise error

    async def handle(scope: Any, body: bytes) -> Any:
        return respond(source())

    async with served(handle) as client:
        reply = await client.post("/")
    chunks = read(reply.content, reply.headers["content-type"])
    check_runs(chunks)
    assert chunks[-1]["message"] == (
        error.sentence
        if isinstance(error, AgentError)
        else "The agent failed. What it had said so far is kept."
    )
    assert b"sk-123" not in reply.content


@BOTH
async def test_each_chunk_is_sent_when_it_is_said_and_silence_is_broken(respond: Respond) -> None:
    go = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "Well"
        await go.wait()
        yield "!"

    async def handle(scope: Any, body: bytes) -> Any:
        return respond(source(), ping_interval=0.01)

    async with served(handle) as client, client.stream("POST", "/") as reply:
        received = b""
        async for piece in reply.aiter_raw():
            received += piece
            if b"Well" in received and received.endswith((b": ping\n\n", b"\n\n")):
                go.set()
    assert go.is_set()
    check_runs(read(received, reply.headers["content-type"]))


@BOTH
async def test_whoever_hangs_up_ends_the_run(respond: Respond) -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        try:
            yield "Well"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def handle(scope: Any, body: bytes) -> Any:
        return respond(source())

    async with served(handle) as client:
        async with client.stream("POST", "/") as reply:
            async for _ in reply.aiter_raw():
                break
        await asyncio.wait_for(closed.wait(), 10)


@BOTH
async def test_a_reader_that_never_came_leaves_nothing(respond: Respond) -> None:
    before = asyncio.all_tasks()
    respond(say("Well"))
    assert asyncio.all_tasks() == before


@BOTH
async def test_stop_ends_it(respond: Respond) -> None:
    stop = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "Well"
        stop.set()
        await asyncio.Event().wait()

    async def handle(scope: Any, body: bytes) -> Any:
        return respond(source(), stop=stop)

    async with served(handle) as client:
        reply = await client.post("/")
    chunks = read(reply.content, reply.headers["content-type"])
    check_runs(chunks)
    assert chunks[-1]["outcome"] == {"type": "cancelled"}


async def test_a_snapshot_of_all_messages_passes() -> None:
    """It replaces the conversation of the one who asked, and nobody else's."""
    snapshot = {"type": "MESSAGES_SNAPSHOT", "messages": []}
    body = b"".join([frame async for frame in to_http_stream(say(snapshot))])
    assert [chunk["type"] for chunk in read(body, "")][1] == "MESSAGES_SNAPSHOT"


@pytest.mark.parametrize("frames", [to_server_sent_events_stream, to_http_stream])
async def test_a_body_for_other_frameworks_can_be_closed_at_any_time(frames: Respond) -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        try:
            yield "Well"
            await asyncio.Event().wait()
        finally:
            closed.set()

    before = len(asyncio.all_tasks())
    body = frames(source(), run_id="r")
    await anext(body)  # RUN_STARTED
    await anext(body)
    await body.aclose()
    assert closed.is_set()
    await aeventually(lambda: len(asyncio.all_tasks()) == before)
