"""A stream that is slow, away, or refuses: what is piped into it is one whole run all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.chats import Streams, check_runs, of
from tests.support.session_app import events_in
from tests.support.sources import CALL, START, Source, content, has_said
from tests.support.waiting import aeventually
from webapp.session import (
    DurableStream,
    InvalidRequest,
    PayloadTooLarge,
    StreamClosed,
    StreamsUnavailable,
    ensure_durable_chat_session_stream,
    pipe_sanitized_chunks_to_stream,
    piping,
)
from webapp.streams.clients.base import StaleEpoch
from webapp.streams.clients.producer import ProducerLimits
from webapp.streams.clients.retry import Retry


@pytest.fixture
async def failing(embedded: DurableStream) -> DurableStream:
    """The stream behind failpoints: ``failing.client`` is a ``Streams``."""
    await ensure_durable_chat_session_stream(embedded)
    return DurableStream(Streams(embedded.client), embedded.path)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", ["RUN_STARTED", "TEXT_MESSAGE_CONTENT", "RUN_FINISHED"])
async def test_cancelling_while_an_append_is_under_way(failing: DurableStream, at: str) -> None:
    """Whether it arrives is open then; the end comes behind it, once."""
    streams: Any = failing.client
    going = asyncio.Event()

    async def slow_append(path: str, messages: Any, **options: Any) -> Any:
        if at.encode() in b"".join(messages):
            streams.reached.set()
            await going.wait()
        return await Streams.append(streams, path, messages, **options)

    streams.append = slow_append
    source = Source(START, content("Well"), hang=at != "RUN_FINISHED")
    piping = asyncio.create_task(pipe_sanitized_chunks_to_stream(source, failing, run_id="r"))
    await streams.reached.wait()
    piping.cancel()
    asyncio.get_running_loop().call_later(0.01, going.set)
    with pytest.raises(asyncio.CancelledError):
        await piping
    events = await events_in(failing)
    check_runs(events)
    assert events[-1].get("code") == (None if at == "RUN_FINISHED" else "interrupted")


async def test_a_reply_that_was_lost_is_no_other_run(failing: DurableStream) -> None:
    """The first append arrives, its receipt does not; repeated, it is a duplicate of our own."""
    streams: Any = failing.client
    lost = [True, True]

    async def append(path: str, messages: Any, **options: Any) -> Any:
        receipt = await Streams.append(streams, path, messages, **options)
        if lost and b"RUN_STARTED" in messages[0]:
            lost.pop()
            raise StreamsUnavailable("lost", retry_after=0.0)
        return receipt

    streams.append = append
    piped = await pipe_sanitized_chunks_to_stream(Source("Hello"), failing, run_id="r")
    assert not lost
    assert not piped.duplicate
    check_runs(await events_in(failing))


async def test_an_outage_is_waited_out(failing: DurableStream) -> None:
    streams: Any = failing.client
    refused = [StreamsUnavailable("away", retry_after=0.0)] * 3
    streams.refuse = lambda events: refused.pop() if refused and events[0]["type"] != "RUN_STARTED" else None
    piped = await pipe_sanitized_chunks_to_stream(Source("Hello"), failing, run_id="r")
    assert not refused
    assert piped.outcome == "success"
    check_runs(await events_in(failing))


async def test_a_part_that_is_refused_ends_the_run(failing: DurableStream) -> None:
    """Also if it came with the end: a run that says success has lost nothing."""
    streams: Any = failing.client
    streams.refuse = lambda events: (
        PayloadTooLarge("no") if any("x" in event.get("delta", "") for event in events) else None
    )
    for hang in (False, True):
        source = Source(START, content("x"), hang=hang)
        piped = await pipe_sanitized_chunks_to_stream(source, failing, run_id=f"r{hang}")
        events = await events_in(failing)
        assert not of(events, "RUN_FINISHED")
        assert events[-1]["runId"] == piped.run_id
        assert piped.outcome == events[-1]["code"] == "not-stored"


async def test_a_refusal_is_heard_while_the_source_says_nothing(failing: DurableStream) -> None:
    streams: Any = failing.client

    async def append(path: str, messages: Any, **options: Any) -> Any:
        if b"unwanted" in b"".join(messages):
            await asyncio.sleep(0.05)
            raise InvalidRequest("no")
        return await Streams.append(streams, path, messages, **options)

    streams.append = append
    source = Source({"type": "CUSTOM", "name": "unwanted", "value": None}, hang=True)
    async with asyncio.timeout(10):
        piped = await pipe_sanitized_chunks_to_stream(source, failing)
    assert piped.outcome == "not-stored"
    check_runs(await events_in(failing))
    assert source.closed


async def test_what_the_stream_refuses_later_ends_the_run_there(failing: DurableStream) -> None:
    """The source has said more and ended by then: what is stored is the answer up to the refused part, its
    open message closed, and one end.
    """
    streams: Any = failing.client
    under_way, ended = asyncio.Event(), asyncio.Event()

    async def append(path: str, messages: Any, **options: Any) -> Any:
        if b"unwanted" in b"".join(messages):
            under_way.set()
            await ended.wait()
            raise InvalidRequest("no")
        return await Streams.append(streams, path, messages, **options)

    async def source() -> AsyncIterator[dict[str, Any]]:
        yield START
        yield content("Well")
        await aeventually(lambda: has_said(failing, "Well"))
        yield {"type": "CUSTOM", "name": "unwanted", "value": None}
        await under_way.wait()
        yield content(" lost")
        yield {"type": "TEXT_MESSAGE_END", "messageId": "m"}
        yield CALL
        asyncio.get_running_loop().call_soon(ended.set)

    streams.append = append
    piped = await pipe_sanitized_chunks_to_stream(source(), failing)
    events = await events_in(failing)
    check_runs(events)
    assert [event["type"] for event in events[-2:]] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert piped.outcome == events[-1]["code"] == "not-stored"
    assert "lost" not in str(events)


@pytest.mark.parametrize("kind", ["RUN_STARTED", "CUSTOM"])
async def test_a_first_part_that_is_refused_ends_the_run(failing: DurableStream, kind: str) -> None:
    streams: Any = failing.client
    streams.refuse = lambda events: InvalidRequest("no") if "unwanted" in str(events) else None
    first = {"type": kind, "runId": "r", "threadId": "t", "name": "n", "value": "unwanted"}
    piped = await pipe_sanitized_chunks_to_stream(Source(first), failing)
    events = await events_in(failing)
    check_runs(events)
    assert [event["type"] for event in events] == ["RUN_STARTED", "RUN_ERROR"]
    assert piped.outcome == "not-stored"


async def test_a_slow_stream_server_does_not_slow_the_source(failing: DurableStream) -> None:
    """What is said while an append is under way sets out before that has arrived."""
    streams: Any = failing.client
    first, second = asyncio.Event(), asyncio.Event()

    async def append(path: str, messages: Any, **options: Any) -> Any:
        said = b"".join(messages)
        if b"one" in said:
            first.set()
            await second.wait()
        if b"two" in said:
            second.set()
        return await Streams.append(streams, path, messages, **options)

    async def source() -> AsyncIterator[dict[str, Any]]:
        yield START
        yield content("one ")
        await first.wait()
        yield content("two")

    streams.append = append
    async with asyncio.timeout(10):
        piped = await pipe_sanitized_chunks_to_stream(source(), failing)
    assert piped.outcome == "success"
    events = await events_in(failing)
    check_runs(events)
    assert [event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT")] == ["one ", "two"]


async def test_what_is_said_while_too_many_appends_are_under_way_is_joined(
    failing: DurableStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piping, "_WINDOW", 0.0)
    streams: Any = failing.client
    said_all = asyncio.Event()

    async def append(path: str, messages: Any, **options: Any) -> Any:
        if b"CONTENT" in b"".join(messages):
            await said_all.wait()
        return await Streams.append(streams, path, messages, **options)

    async def source() -> AsyncIterator[dict[str, Any]]:
        for number in range(60):
            yield content(f"{number} ")
            await asyncio.sleep(0.002)
        said_all.set()

    streams.append = append
    await pipe_sanitized_chunks_to_stream(source(), failing)
    said = [event["delta"] for event in of(await events_in(failing), "TEXT_MESSAGE_CONTENT")]
    assert "".join(said) == "".join(f"{number} " for number in range(60))
    assert len(said) <= ProducerLimits().max_in_flight + 2


async def test_a_stream_that_takes_nothing_more_raises(failing: DurableStream) -> None:
    streams: Any = failing.client
    for refusal in (StreamClosed(tail="0"), PayloadTooLarge("no")):
        streams.refuse = lambda events, refusal=refusal: (
            None if events[0]["type"] == "RUN_STARTED" else refusal
        )
        source = Source(START, hang=True)
        with pytest.raises(type(refusal)):
            await pipe_sanitized_chunks_to_stream(source, failing, run_id=f"r{refusal.status}")
        assert source.closed


async def test_when_all_tries_have_failed_it_raises(
    failing: DurableStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piping, "_RETRY", Retry(attempts=2, base=0.0))
    streams: Any = failing.client
    streams.refuse = lambda events: StreamsUnavailable("away", retry_after=0.0)
    with pytest.raises(StreamsUnavailable):
        await pipe_sanitized_chunks_to_stream(Source("Hello"), failing)


async def test_a_run_that_was_ended_by_somebody_else_is_left_alone(failing: DurableStream) -> None:
    streams: Any = failing.client
    streams.refuse = lambda events: (
        None if events[0]["type"] == "RUN_STARTED" else StaleEpoch("fenced", current_epoch=1)
    )
    source = Source(START, hang=True)
    with pytest.raises(StaleEpoch):
        await pipe_sanitized_chunks_to_stream(source, failing, run_id="r")
    assert source.closed
    # And one that comes later finds the epoch taken.
    streams.refuse = lambda events: StaleEpoch("fenced", current_epoch=1)
    assert (await pipe_sanitized_chunks_to_stream(Source("x"), failing, run_id="r")).duplicate


async def test_large_batches_are_cut_into_appends_that_any_server_takes(failing: DurableStream) -> None:
    streams: Any = failing.client
    parts = [{"type": "CUSTOM", "name": "picture", "value": "x" * 300_000} for _ in range(9)]
    await pipe_sanitized_chunks_to_stream(Source(*parts), failing)
    assert len(of(await events_in(failing), "CUSTOM")) == 9
    assert max(sum(len(str(event)) for event in events) for _, events in streams.appends) < 1024 * 1024 + 2048
