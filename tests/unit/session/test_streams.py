"""A session's stream by its address."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.session_app import events_in
from tests.support.stream_server import stream_server
from tests.support.waiting import aeventually
from webapp.session import (
    DurableStream,
    DurableStreamTarget,
    append_sanitized_chunks_to_stream,
    embedded_streams,
    ensure_durable_chat_session_stream,
    materialize_snapshot_from_durable_stream,
)
from webapp.session.streams import opened
from webapp.streams.store.sqlite import DataDirectoryInUse

CHUNK = {"type": "CUSTOM", "name": "n", "value": 1}


async def test_headers_go_with_every_request_and_are_asked_for_each_time() -> None:
    asked = []

    def sync_value() -> str:
        asked.append("sync")
        return f"Bearer {len(asked)}"

    async def async_value() -> str:
        await asyncio.sleep(0)
        return sync_value()

    async with stream_server() as server:
        for value in ("Bearer 0", sync_value, async_value):
            target = DurableStreamTarget(write_url=f"{server.url}/a/b", headers={"Authorization": value})
            await ensure_durable_chat_session_stream(target)
            await append_sanitized_chunks_to_stream(target, [CHUNK])
        # Once per call of a helper, however many requests that takes.
        assert server.authorizations == {f"Bearer {number}" for number in range(5)}
        assert asked == ["sync"] * 4


async def test_reading_goes_to_the_read_url() -> None:
    async with stream_server() as server:
        target = DurableStreamTarget(write_url=f"{server.url}/a/b", read_url=f"{server.url}/a/c")
        await ensure_durable_chat_session_stream(target)
        await append_sanitized_chunks_to_stream(target, [CHUNK])
        assert (await materialize_snapshot_from_durable_stream(target)).offset == "-1"
        assert server.requests[-1].startswith("GET /v1/stream/a/c?")


async def test_nothing_of_a_target_is_left_open() -> None:
    async with stream_server() as server:
        target = DurableStreamTarget(write_url=f"{server.url}/a/b")
        await ensure_durable_chat_session_stream(target)
        await append_sanitized_chunks_to_stream(target, [CHUNK])
        await materialize_snapshot_from_durable_stream(target)
        await aeventually(lambda: server.connections == 0)
        assert len(asyncio.all_tasks()) == 2  # this test and the server


@pytest.mark.parametrize(
    "url", ["", "no-address", "ftp://host/a", "http://user:pw@host/a", "http://host/a?b", "http://host"]
)
async def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        async with opened(DurableStreamTarget(write_url=url)):
            raise AssertionError("it was opened")
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"a": "b\r\nc: d"}, {"a": "é"}])
async def test_what_is_no_header_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        async with opened(DurableStreamTarget(write_url="http://host/a", headers=headers)):
            raise AssertionError("it was opened")


def test_secrets_are_not_shown() -> None:
    target = DurableStreamTarget(write_url="http://host/a", headers={"Authorization": "sk-123"})
    assert "sk-123" not in repr(target)


async def test_embedded_streams_are_durable_and_one_process_has_them(tmp_path: object) -> None:
    directory = str(tmp_path)
    for count in (1, 2):
        async with embedded_streams(directory) as streams:
            stream = DurableStream(streams, "a/b")
            await ensure_durable_chat_session_stream(stream)
            await append_sanitized_chunks_to_stream(stream, [CHUNK])
            assert await events_in(stream) == [CHUNK] * count
            with pytest.raises(DataDirectoryInUse):
                async with embedded_streams(directory):
                    raise AssertionError("two have it")
