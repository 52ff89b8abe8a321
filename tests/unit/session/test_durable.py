"""The responses to those who send."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.chats import Streams, check_runs, of, questions
from tests.support.session_app import PATH, events_in, served
from tests.support.stream_server import stream_server
from tests.support.waiting import aeventually
from webapp.session import (
    DurableStream,
    DurableStreamTarget,
    PipedRun,
    StreamClosed,
    StreamNotFound,
    StreamsUnavailable,
    chunks,
    finish_writes,
    materialize_snapshot_from_durable_stream,
    to_durable_chat_session_response,
    to_durable_stream_response,
)
from webapp.session.streams import AnyStream, opened
from webapp.streams.clients.retry import Retry

QUESTION = {"id": "q", "role": "user", "parts": [{"type": "text", "content": "Hi"}]}


async def say(*pieces: Any, until: asyncio.Event | None = None) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece
    if until is not None:
        await until.wait()
        yield "bye"


async def is_over(stream: AnyStream) -> bool:
    return bool(of(await events_in(stream), "RUN_FINISHED"))


# A session


async def test_immediate_answers_at_once_and_writes_on(stream: AnyStream) -> None:
    go = asyncio.Event()

    async def handle(scope: Any, body: bytes) -> Any:
        return await to_durable_chat_session_response(
            stream, new_messages=[QUESTION], response_stream=say("Hello", until=go), run_id="r"
        )

    async with served(handle) as client:
        reply = await client.post("/")
        assert (reply.status_code, reply.content) == (202, b"")
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-run-id"] == "r"
        # The message is durable by now; the answer is not over.
        assert questions(await events_in(stream)) == ["q"]
        go.set()
        await aeventually(lambda: is_over(stream))
    events = await events_in(stream)
    check_runs(events)
    answer = (await materialize_snapshot_from_durable_stream(stream)).messages[1]
    assert answer["parts"] == [{"type": "text", "content": "Hellobye"}]


async def test_await_answers_when_the_end_is_durable(stream: AnyStream) -> None:
    async def handle(scope: Any, body: bytes) -> Any:
        return await to_durable_chat_session_response(
            stream, new_messages=[QUESTION], response_stream=say("Hello"), mode="await", headers={"X-A": "b"}
        )

    async with served(handle) as client:
        reply = await client.post("/")
    assert (reply.status_code, reply.content, reply.headers["x-a"]) == (200, b"", "b")
    assert await is_over(stream)


async def test_whoever_hangs_up_ends_nothing(embedded: DurableStream) -> None:
    """With ``await``, whether the framework lets the handler run on or cancels it."""
    go, begun = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "Hello"
        begun.set()
        await go.wait()

    handler = asyncio.create_task(
        to_durable_chat_session_response(
            embedded, new_messages=[QUESTION], response_stream=source(), mode="await"
        )
    )
    await begun.wait()
    handler.cancel()
    await asyncio.wait({handler})
    go.set()
    await aeventually(lambda: is_over(embedded))


async def test_whoever_hangs_up_while_the_message_is_stored_ends_nothing_either(
    embedded: DurableStream,
) -> None:
    streams: Any = Streams(embedded.client)
    go = asyncio.Event()

    async def slow_ensure(path: str) -> str:
        streams.reached.set()
        await go.wait()
        return await embedded.client.ensure(path)

    streams.ensure = slow_ensure
    slow = DurableStream(streams, PATH)
    handler = asyncio.create_task(
        to_durable_chat_session_response(slow, new_messages=[QUESTION], response_stream=say("Hello"))
    )
    await streams.reached.wait()
    handler.cancel()
    await asyncio.wait({handler})
    go.set()
    gc.collect()
    await finish_writes()
    assert await is_over(embedded)


async def test_a_message_sent_again_is_one_message(stream: AnyStream) -> None:
    for _ in range(3):
        await to_durable_chat_session_response(
            stream, new_messages=[QUESTION], response_stream=say("Hello"), run_id="r", mode="await"
        )
    events = await events_in(stream)
    check_runs(events)
    assert questions(events) == ["q"]
    assert len(of(events, "RUN_STARTED")) == 1


async def test_asking_again_is_another_run_on_the_same_message(stream: AnyStream) -> None:
    """As the published ``reload`` does, which sends no run id."""
    for _ in range(2):
        await to_durable_chat_session_response(
            stream, new_messages=[QUESTION], response_stream=say("Hello"), mode="await"
        )
    events = await events_in(stream)
    check_runs(events)
    assert questions(events) == ["q"]
    assert len(of(events, "RUN_STARTED")) == 2


async def test_a_duplicate_that_awaits_returns_with_the_end(stream: AnyStream) -> None:
    go = asyncio.Event()
    await to_durable_chat_session_response(
        stream, new_messages=[QUESTION], response_stream=say("Hello", until=go), run_id="r"
    )
    again = asyncio.create_task(
        to_durable_chat_session_response(
            stream, new_messages=[QUESTION], response_stream=say("no"), run_id="r", mode="await"
        )
    )
    done, _ = await asyncio.wait({again}, timeout=0.2)
    assert not done
    go.set()
    await again
    assert await is_over(stream)
    await finish_writes()


async def test_messages_are_written_in_order_with_all_they_have(embedded: DurableStream) -> None:
    image = {"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}
    messages = [
        {"id": "s", "role": "system", "content": "Be brief."},
        {"id": "q", "role": "user", "name": "Ana", "parts": [{"type": "text", "content": "See"}, image]},
    ]
    await to_durable_chat_session_response(
        embedded, new_messages=messages, response_stream=say(), mode="await"
    )
    system, user = (await materialize_snapshot_from_durable_stream(embedded)).messages
    assert system["role"] == "system"
    assert (user["name"], user["parts"]) == ("Ana", messages[1]["parts"])


async def test_without_a_message_the_run_goes_on_with_what_is_there(embedded: DurableStream) -> None:
    await to_durable_chat_session_response(
        embedded, new_messages=[], response_stream=say("Go on"), mode="await"
    )
    check_runs(await events_in(embedded))


async def test_a_run_that_fails_is_no_error_of_the_response(embedded: DurableStream) -> None:
    async def source() -> AsyncIterator[str]:
        yield "Well"
        raise ValueError("sk-123")

    await to_durable_chat_session_response(
        embedded, new_messages=[QUESTION], response_stream=source(), mode="await"
    )
    events = await events_in(embedded)
    check_runs(events)
    assert events[-1]["code"] == "agent-failed"
    assert "sk-123" not in str(events)


async def test_what_cannot_be_stored_is_raised_and_the_source_is_let_go(
    embedded: DurableStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_RETRY", Retry(attempts=1))
    streams: Any = Streams(embedded.client)
    streams.refuse = lambda events: StreamsUnavailable("away", retry_after=7)
    source = say("Hello")
    with pytest.raises(StreamsUnavailable) as refused:
        await to_durable_chat_session_response(
            DurableStream(streams, PATH), new_messages=[QUESTION], response_stream=source
        )
    assert refused.value.retry_after == 7
    with pytest.raises(StopAsyncIteration):
        await anext(source)


async def test_a_stream_that_is_not_to_be_made_is_not_made(stream: AnyStream) -> None:
    missing = dataclasses.replace(stream, create_if_missing=False)
    with pytest.raises(StreamNotFound):
        await to_durable_chat_session_response(missing, new_messages=[QUESTION], response_stream=say("Hello"))


async def test_what_goes_wrong_in_the_background_is_logged_and_the_tasks_own(
    embedded: DurableStream, caplog: pytest.LogCaptureFixture
) -> None:
    streams: Any = Streams(embedded.client)
    streams.refuse = lambda events: StreamClosed(tail="0") if "runId" in events[0] else None
    tasks: list[asyncio.Task[PipedRun]] = []
    await to_durable_chat_session_response(
        DurableStream(streams, PATH),
        new_messages=[QUESTION],
        response_stream=say("Hello"),
        run_id="r",
        wait_until=tasks.append,
    )
    await finish_writes()
    assert isinstance(tasks[0].exception(), StreamClosed)
    assert "could not be written" in caplog.text


async def test_wait_until_gets_the_run(embedded: DurableStream) -> None:
    tasks: list[asyncio.Task[PipedRun]] = []
    await to_durable_chat_session_response(
        embedded, new_messages=[QUESTION], response_stream=say("Hello"), wait_until=tasks.append
    )
    piped = await tasks[0]
    assert piped.outcome == "success"
    assert piped.offset == (await materialize_snapshot_from_durable_stream(embedded)).offset


# At shutdown


async def test_at_shutdown_what_is_nearly_done_is_done(embedded: DurableStream) -> None:
    go = asyncio.Event()
    await to_durable_chat_session_response(
        embedded, new_messages=[QUESTION], response_stream=say("Hello", until=go)
    )
    asyncio.get_running_loop().call_later(0.02, go.set)
    await finish_writes()
    assert await is_over(embedded)


async def test_at_shutdown_what_is_not_is_interrupted(stream: AnyStream) -> None:
    for number in range(3):
        await to_durable_chat_session_response(
            stream,
            new_messages=[{**QUESTION, "id": f"q{number}"}],
            response_stream=say("Hello", until=asyncio.Event()),
        )
    await finish_writes(grace=0)
    events = await events_in(stream)
    check_runs(events)
    assert [event["code"] for event in of(events, "RUN_ERROR")] == ["interrupted"] * len(
        of(events, "RUN_STARTED")
    )
    assert len(asyncio.all_tasks()) <= 2 + 3  # this test, the server and its connections


async def test_with_nothing_to_do_it_does_nothing() -> None:
    await finish_writes()
    await finish_writes(grace=0)


async def test_a_write_that_does_not_end_is_given_up(
    embedded: DurableStream, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("background", "piping"):
        monkeypatch.setattr(f"webapp.session.{module}.LAST_WORDS", 0.01)
    streams: Any = Streams(embedded.client)
    streams.halt_before = lambda events: "RUN_ERROR" in str(events)
    await to_durable_chat_session_response(
        DurableStream(streams, PATH),
        new_messages=[QUESTION],
        response_stream=say("Hello", until=asyncio.Event()),
        run_id="r",
    )
    caplog.set_level(logging.WARNING)
    await finish_writes(grace=0)
    assert streams.reached.is_set()


# A stream of its own


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
