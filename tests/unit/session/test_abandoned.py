"""What a process that died has left open is ended, once."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.chats import check_runs, of
from tests.support.session_app import events_in
from tests.support.waiting import aeventually
from webapp.session import (
    DurableStream,
    append_sanitized_chunks_to_stream,
    ensure_durable_chat_session_stream,
    interrupt_abandoned_runs,
    materialize_snapshot_from_durable_stream,
    pipe_sanitized_chunks_to_stream,
)
from webapp.session.streams import AnyStream

LEFT = [
    {"type": "RUN_STARTED", "threadId": "t", "runId": "one"},
    {"type": "RUN_STARTED", "threadId": "t", "runId": "two"},
    {"type": "RUN_STARTED", "threadId": "t", "runId": "over"},
    {"type": "RUN_FINISHED", "threadId": "t", "runId": "over"},
    {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant", "metadata": {"runId": "one"}},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Well"},
    {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "roll", "runId": "two"},
]


async def leave(stream: AnyStream) -> None:
    """As a process does that is killed: each run by its own producer."""
    await ensure_durable_chat_session_stream(stream)
    for number, event in enumerate(LEFT):
        run_id = event.get("runId", "one")
        producer_id = f"run:{run_id}" if event["type"] == "RUN_STARTED" else f"x{number}"
        await append_sanitized_chunks_to_stream(stream, [event], producer_id=producer_id)


async def test_every_open_run_is_ended_and_closed(stream: AnyStream) -> None:
    await leave(stream)
    assert sorted(await interrupt_abandoned_runs(stream)) == ["one", "two"]
    events = await events_in(stream)
    check_runs(events)
    assert {event["code"] for event in of(events, "RUN_ERROR")} == {"interrupted"}
    assert (await materialize_snapshot_from_durable_stream(stream)).active_runs == []
    assert await interrupt_abandoned_runs(stream) == []
    assert await events_in(stream) == events


async def test_two_who_do_it_at_once_do_it_once(stream: AnyStream) -> None:
    await leave(stream)
    await asyncio.gather(*(interrupt_abandoned_runs(stream) for _ in range(3)))
    check_runs(await events_in(stream))


async def test_whoever_still_writes_is_fenced(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    go = asyncio.Event()

    async def source() -> Any:
        yield "Well, "
        await go.wait()
        yield "no."

    piping = asyncio.create_task(pipe_sanitized_chunks_to_stream(source(), embedded, run_id="r"))

    async def said() -> bool:
        return "Well, " in str(await events_in(embedded))

    await aeventually(said)
    assert await interrupt_abandoned_runs(embedded) == ["r"]
    go.set()
    await asyncio.wait({piping})
    assert piping.exception() is not None
    events = await events_in(embedded)
    check_runs(events)
    assert "no." not in str(events)


async def test_a_run_that_died_before_its_end_is_told_as_a_duplicate(embedded: DurableStream) -> None:
    await leave(embedded)
    await interrupt_abandoned_runs(embedded)

    async def source() -> Any:
        yield "again"

    assert (await pipe_sanitized_chunks_to_stream(source(), embedded, run_id="one")).duplicate


async def test_where_nothing_is_there_is_nothing_to_end(stream: AnyStream) -> None:
    assert await interrupt_abandoned_runs(stream) == []
    await ensure_durable_chat_session_stream(stream)
    assert await interrupt_abandoned_runs(stream) == []
