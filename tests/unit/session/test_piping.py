"""A source becomes one whole run in the stream, whatever happens to it, to us and to the stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from ag_ui.core import TextMessageContentEvent, TextMessageStartEvent

from tests.support.chats import Streams, check_runs, of
from tests.support.session_app import events_in
from tests.support.waiting import aeventually
from webapp.agents.base import AgentError
from webapp.session import (
    DurableStream,
    PayloadTooLarge,
    StreamClosed,
    StreamsUnavailable,
    ensure_durable_chat_session_stream,
    pipe_sanitized_chunks_to_stream,
    piping,
)
from webapp.session.streams import AnyStream
from webapp.streams.clients.base import StaleEpoch
from webapp.streams.clients.retry import Retry

START = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
CALL = {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "roll"}


def content(delta: str) -> dict[str, Any]:
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": delta}


class Source:
    """Yields ``chunks``, then waits for ``go`` if told to; knows whether it was begun and let go."""

    def __init__(self, *chunks: Any, ending: Callable[[], None] = lambda: None, hang: bool = False) -> None:
        self.chunks = chunks
        self.ending = ending
        self.hang = hang
        self.begun = False
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        self.begun = True
        try:
            for chunk in self.chunks:
                yield chunk
            if self.hang:
                await asyncio.Event().wait()
            self.ending()
        finally:
            self.closed = True


def raising(error: BaseException) -> Callable[[], None]:
    def ending() -> None:
        raise error

    return ending


@pytest.fixture
async def failing(embedded: DurableStream) -> DurableStream:
    """The stream behind failpoints: ``failing.client`` is a ``Streams``."""
    await ensure_durable_chat_session_stream(embedded)
    return DurableStream(Streams(embedded.client), embedded.path)  # type: ignore[arg-type]


async def test_a_run_is_whole_and_durable_on_return(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    source = Source(START, content("Hel"), content("lo"))
    piped = await pipe_sanitized_chunks_to_stream(source, stream)
    events = await events_in(stream)
    check_runs(events)
    assert "".join(event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT")) == "Hello"
    assert events[0]["threadId"] in ("chats/42", "42")
    assert (piped.outcome, piped.duplicate, piped.run_id) == ("success", False, events[0]["runId"])
    assert piped.offset
    assert source.closed


async def test_strings_and_models_will_do(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    for number in "ab":
        models = [
            TextMessageStartEvent(message_id=number, role="assistant"),
            TextMessageContentEvent(message_id=number, delta="there"),
        ]
        await pipe_sanitized_chunks_to_stream(Source("Hello ", "you", *models), embedded)
    events = await events_in(embedded)
    check_runs(events)
    said = [event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT")]
    assert said == ["Hello you", "there"] * 2
    assert len({event["messageId"] for event in of(events, "TEXT_MESSAGE_START")}) == 4


async def test_content_alone_is_the_text_so_far(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    whole = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "content": "Hello"[:n]} for n in (2, 5)]
    await pipe_sanitized_chunks_to_stream(Source(START, *whole), embedded)
    said = of(await events_in(embedded), "TEXT_MESSAGE_CONTENT")
    assert "".join(event["delta"] for event in said) == "Hello"
    assert not any("content" in event for event in said)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AgentError("No more credit.", code="no-credit"), "no-credit"),
        (ValueError("sk-123 is no key"), "agent-failed"),
        (asyncio.CancelledError(), "agent-failed"),
        (GeneratorExit(), "agent-failed"),
    ],
)
async def test_a_source_that_raises_leaves_an_end(
    stream: AnyStream, error: BaseException, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    await ensure_durable_chat_session_stream(stream)
    source = Source(START, content("Well"), CALL, ending=raising(error))
    piped = await pipe_sanitized_chunks_to_stream(source, stream)
    events = await events_in(stream)
    check_runs(events)
    assert events[-1]["code"] == piped.outcome == code
    assert "sk-123" not in str(events)
    assert ("sk-123" in caplog.text) == isinstance(error, ValueError)


async def test_what_is_no_event_ends_the_run(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    piped = await pipe_sanitized_chunks_to_stream(Source(START, 7), embedded)
    assert piped.outcome == "agent-failed"
    check_runs(await events_in(embedded))


async def test_stop_ends_it_and_keeps_what_was_said(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    stop, source = asyncio.Event(), Source(START, content("Well"), hang=True)
    piping = asyncio.create_task(pipe_sanitized_chunks_to_stream(source, stream, stop=stop))
    await aeventually(lambda: _said(stream, "Well"))
    stop.set()
    assert (await piping).outcome == "cancelled"
    events = await events_in(stream)
    check_runs(events)
    assert events[-1]["outcome"] == {"type": "cancelled"}
    assert source.closed


async def test_the_time_limit_ends_it(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    source = Source(START, hang=True)
    piped = await pipe_sanitized_chunks_to_stream(source, embedded, time_limit=0.01)
    assert piped.outcome == "time-limit"
    check_runs(await events_in(embedded))
    assert source.closed


async def test_cancelling_interrupts_it(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    source = Source(START, content("Well"), hang=True)
    piping = asyncio.create_task(pipe_sanitized_chunks_to_stream(source, stream, run_id="r"))
    await aeventually(lambda: _said(stream, "Well"))
    piping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await piping
    events = await events_in(stream)
    check_runs(events)
    assert events[-1]["code"] == "interrupted"
    assert source.closed


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


async def test_a_source_that_will_not_stop_keeps_nobody_waiting(
    embedded: DurableStream, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.session.listening.FAREWELL", 0.01)
    await ensure_durable_chat_session_stream(embedded)
    release = asyncio.Event()

    async def stubborn() -> AsyncIterator[dict[str, Any]]:
        yield START
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    piped = await pipe_sanitized_chunks_to_stream(stubborn(), embedded, time_limit=0.01)
    assert piped.outcome == "time-limit"
    assert "does not stop" in caplog.text
    release.set()
    await aeventually(lambda: len(asyncio.all_tasks()) == 1)


async def test_the_same_run_id_is_the_same_run(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    first = await pipe_sanitized_chunks_to_stream(Source("one"), stream, run_id="r")
    source = Source("two")
    again = await pipe_sanitized_chunks_to_stream(source, stream, run_id="r")
    events = await events_in(stream)
    check_runs(events)
    assert [event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT")] == ["one"]
    assert (first.duplicate, again.duplicate) == (False, True)
    assert not source.begun


async def test_at_the_same_time_one_of_them_writes(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    sources = [Source(f"{number}") for number in range(4)]
    runs = [pipe_sanitized_chunks_to_stream(source, stream, run_id="r") for source in sources]
    piped = await asyncio.gather(*runs)
    assert sum(not run.duplicate for run in piped) == 1
    assert sum(source.begun for source in sources) == 1
    check_runs(await events_in(stream))


async def test_a_source_that_names_its_run_is_one_run_too(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    started = {"type": "RUN_STARTED", "threadId": "t", "runId": "its-own"}
    for text in ("one", "two"):
        piped = await pipe_sanitized_chunks_to_stream(Source(started, text), embedded)
    assert piped.duplicate
    events = await events_in(embedded)
    assert [event["delta"] for event in of(events, "TEXT_MESSAGE_CONTENT")] == ["one"]
    assert events[0]["threadId"] == "t"


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


async def test_many_words_are_few_events(embedded: DurableStream, caplog: pytest.LogCaptureFixture) -> None:
    await ensure_durable_chat_session_stream(embedded)
    caplog.set_level(logging.DEBUG)
    words = [f"{number} " for number in range(5000)]
    await pipe_sanitized_chunks_to_stream(Source(*words), embedded)
    events = await events_in(embedded)
    said = of(events, "TEXT_MESSAGE_CONTENT")
    assert "".join(event["delta"] for event in said) == "".join(words)
    assert len(said) < 50


async def test_large_batches_are_cut_into_appends_that_any_server_takes(failing: DurableStream) -> None:
    streams: Any = failing.client
    parts = [{"type": "CUSTOM", "name": "picture", "value": "x" * 300_000} for _ in range(9)]
    await pipe_sanitized_chunks_to_stream(Source(*parts), failing)
    assert len(of(await events_in(failing), "CUSTOM")) == 9
    assert max(sum(len(str(event)) for event in events) for _, events in streams.appends) < 1024 * 1024 + 2048


async def _said(stream: AnyStream, text: str) -> bool:
    return text in str(await events_in(stream))
