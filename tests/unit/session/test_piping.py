"""A source becomes one whole run in the stream, whatever becomes of it and of us."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import TextMessageContentEvent, TextMessageStartEvent

from tests.support.chats import check_runs, of
from tests.support.session_app import events_in
from tests.support.sources import CALL, START, Source, content, has_said, raising
from tests.support.waiting import aeventually
from webapp.agents.base import AgentError
from webapp.session import DurableStream, ensure_durable_chat_session_stream, pipe_sanitized_chunks_to_stream
from webapp.session.streams import AnyStream


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
    await aeventually(lambda: has_said(stream, "Well"))
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
    await aeventually(lambda: has_said(stream, "Well"))
    piping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await piping
    events = await events_in(stream)
    check_runs(events)
    assert events[-1]["code"] == "interrupted"
    assert source.closed


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


async def test_many_words_are_few_events(embedded: DurableStream, caplog: pytest.LogCaptureFixture) -> None:
    await ensure_durable_chat_session_stream(embedded)
    caplog.set_level(logging.DEBUG)
    words = [f"{number} " for number in range(5000)]
    await pipe_sanitized_chunks_to_stream(Source(*words), embedded)
    events = await events_in(embedded)
    said = of(events, "TEXT_MESSAGE_CONTENT")
    assert "".join(event["delta"] for event in said) == "".join(words)
    assert len(said) < 50
