"""A browser reads the session's stream through the app."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.support.session_app import served
from tests.support.sse import abatches, afollow
from tests.support.stream_server import stream_server
from tests.support.waiting import aeventually
from webapp.session import (
    DurableStreamTarget,
    StreamConflict,
    StreamGone,
    StreamsUnavailable,
    append_sanitized_chunks_to_stream,
    ensure_durable_chat_session_stream,
    to_durable_stream_read_response,
    to_error_response,
)
from webapp.session.streams import AnyStream

CHUNK = {"type": "CUSTOM", "name": "n", "value": 1}


def reading(stream: AnyStream) -> Any:
    async def handle(scope: Any, body: bytes) -> Any:
        return to_durable_stream_read_response(stream, headers={"X-A": "b"})

    return served(handle)


async def test_a_catch_up_read(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    tail = await append_sanitized_chunks_to_stream(stream, [CHUNK])
    async with reading(stream) as client:
        reply = await client.get("/", params={"offset": "-1", "id": "ignored"})
        assert (reply.status_code, reply.json()) == (200, [CHUNK])
        assert reply.headers["stream-next-offset"] == tail
        assert reply.headers["x-a"] == "b"
        assert (await client.head("/", params={"offset": "-1"})).status_code == 200
        again = await client.get(
            "/", params={"offset": "-1"}, headers={"If-None-Match": reply.headers["etag"]}
        )
        assert again.status_code == 304


async def test_reading_before_the_first_write_waits_for_it(stream: AnyStream) -> None:
    async with reading(stream) as client:
        following = abatches(afollow(client, "/", offset="-1", live="sse"))
        first = await anext(following)
        assert (first.items, first.up_to_date) == ([], True)
        await append_sanitized_chunks_to_stream(stream, [CHUNK])
        assert (await anext(following)).items == [CHUNK]
        await following.aclose()


async def test_a_stream_that_is_not_to_be_made_is_not_found(stream: AnyStream) -> None:
    async with reading(dataclasses.replace(stream, create_if_missing=False)) as client:
        reply = await client.get("/", params={"offset": "-1"})
    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")


async def test_what_is_no_read_is_refused_in_our_words(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    async with reading(stream) as client:
        bad = await client.get("/", params={"offset": "nonsense"})
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid-request")


async def test_a_server_that_is_away_is_told_as_such() -> None:
    async with stream_server() as server:
        target = DurableStreamTarget(write_url=f"{server.url}/a/b")
        await server.stop()
        async with reading(target) as client:
            reply = await client.get("/", params={"offset": "-1"})
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert set(reply.json()) == {"error", "code"}


async def test_live_readers_by_address_leave_nothing_open() -> None:
    async with stream_server() as server:
        target = DurableStreamTarget(write_url=f"{server.url}/a/b")
        async with reading(target) as client:
            for _ in range(3):
                following = abatches(afollow(client, "/", offset="-1", live="sse"))
                await anext(following)
                await following.aclose()
            await aeventually(lambda: server.connections == 0)


async def test_nothing_but_the_protocol_gets_through() -> None:
    """Neither the reader's headers to the server nor the server's to the reader."""
    seen: list[dict[str, str]] = []

    async with stream_server() as server:
        inner = server.app

        async def telling(scope: Any, receive: Any, send: Any) -> None:
            seen.append({name.decode(): value.decode() for name, value in scope["headers"]})

            async def adding(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], (b"set-cookie", b"a=b")]}
                await send(message)

            await inner(scope, receive, adding)

        server.app = telling
        target = DurableStreamTarget(write_url=f"{server.url}/a/b", headers={"Authorization": "Bearer ours"})
        async with reading(target) as client:
            theirs = {"Authorization": "Bearer theirs", "Cookie": "c=d"}
            reply = await client.get("/", params={"offset": "-1"}, headers=theirs)
    assert reply.status_code == 200
    assert "set-cookie" not in reply.headers
    assert {headers.get("authorization") for headers in seen} == {"Bearer ours"}
    assert not any("c=d" in headers.get("cookie", "") for headers in seen)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StreamsUnavailable("secret", retry_after=2.5), 503, "unavailable"),
        (StreamGone(), 410, "gone"),
        (StreamConflict("secret"), 409, "conflict"),
        (ValueError("secret"), 500, "internal"),
    ],
)
async def test_errors_are_answered_without_their_text(
    error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(scope: Any, body: bytes) -> Any:
        return to_error_response(error)

    async with served(handle) as client:
        reply = await client.get("/")
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.json()["error"].endswith(".")
    assert "secret" not in reply.text
    assert reply.headers.get("retry-after") == ("3" if status == 503 else None)
    assert ("secret" in caplog.text) == (status == 500)
