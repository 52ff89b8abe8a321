"""The conversation and the offset it is of."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from tests.support.session_app import PATH, events_in
from webapp.chat.reducer import REDUCER_VERSION, materialize
from webapp.session import (
    DurableStream,
    SessionSnapshot,
    StaleSnapshot,
    StreamNotFound,
    append_sanitized_chunks_to_stream,
    embedded_streams,
    ensure_durable_chat_session_stream,
    materialize_snapshot_from_durable_stream,
    pipe_sanitized_chunks_to_stream,
    to_message_echo_chunks,
)
from webapp.session.streams import AnyStream

QUESTION = {"id": "q", "role": "user", "parts": [{"type": "text", "content": "Roll!"}]}
ANSWER = [
    {"type": "TEXT_MESSAGE_START", "messageId": "a", "role": "assistant"},
    {"type": "REASONING_MESSAGE_CONTENT", "messageId": "s", "delta": "Hm"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "a", "delta": "I roll"},
    {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "roll", "parentMessageId": "a"},
    {"type": "TOOL_CALL_ARGS", "toolCallId": "t", "delta": '{"sides":6}'},
    {"type": "TOOL_CALL_END", "toolCallId": "t"},
    {"type": "TOOL_CALL_RESULT", "toolCallId": "t", "messageId": "x", "content": "4"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "a", "delta": "Four"},
    {"type": "TEXT_MESSAGE_END", "messageId": "a"},
]


async def answer() -> Any:
    for event in ANSWER:
        yield event


async def talk(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    await append_sanitized_chunks_to_stream(stream, to_message_echo_chunks(QUESTION))
    await pipe_sanitized_chunks_to_stream(answer(), stream, run_id="r")


async def test_thinking_tools_and_the_order_of_parts_are_kept(stream: AnyStream) -> None:
    await talk(stream)
    snapshot = await materialize_snapshot_from_durable_stream(stream)
    question, answer = snapshot.messages
    assert (question["id"], question["parts"]) == ("q", QUESTION["parts"])
    assert [part["type"] for part in answer["parts"]] == [
        "thinking",
        "text",
        "tool-call",
        "tool-result",
        "text",
    ]
    assert answer["parts"][2]["output"] == 4
    assert snapshot.active_runs == []


async def test_the_offset_is_the_end_of_what_was_read(stream: AnyStream) -> None:
    await talk(stream)
    before = await materialize_snapshot_from_durable_stream(stream)
    chunk = {"type": "CUSTOM", "name": "n", "value": 1}
    tail = await append_sanitized_chunks_to_stream(stream, [chunk])
    after = await materialize_snapshot_from_durable_stream(stream, after=before)
    assert before.offset < tail == after.offset


async def test_a_stream_that_is_not_there_yet_is_an_empty_conversation(stream: AnyStream) -> None:
    snapshot = await materialize_snapshot_from_durable_stream(stream)
    assert (snapshot.messages, snapshot.offset) == ([], "-1")
    assert await materialize_snapshot_from_durable_stream(stream, after=snapshot) == snapshot
    await talk(stream)
    assert len((await materialize_snapshot_from_durable_stream(stream, after=snapshot)).messages) == 2


async def test_one_that_is_gone_is_not(embedded: DurableStream) -> None:
    await talk(embedded)
    before = await materialize_snapshot_from_durable_stream(embedded)
    await embedded.client.delete(embedded.path)
    with pytest.raises(StreamNotFound):
        await materialize_snapshot_from_durable_stream(embedded, after=before)


async def test_a_stored_snapshot_goes_on_from_every_event(embedded: DurableStream, rng: Random) -> None:
    """It is what a database holds: any number of steps give what one gives."""
    await talk(embedded)
    events = await events_in(embedded)
    for split in range(len(events)):
        stream = DurableStream(embedded.client, f"{PATH}/{split}")
        await ensure_durable_chat_session_stream(stream)
        stored = json.dumps(SessionSnapshot().to_json())
        for some in (events[:split], events[split:]):
            if some:
                await append_sanitized_chunks_to_stream(stream, some)
            before = SessionSnapshot.from_json(json.loads(stored))
            now = await materialize_snapshot_from_durable_stream(stream, after=before)
            stored = json.dumps(now.to_json())
        assert now.messages == materialize(events).messages
        assert now.active_runs == []


async def test_messages_that_did_not_change_are_the_same_objects(embedded: DurableStream) -> None:
    await talk(embedded)
    before = await materialize_snapshot_from_durable_stream(embedded)
    await append_sanitized_chunks_to_stream(
        embedded, [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "a", "delta": "!"}]
    )
    after = await materialize_snapshot_from_durable_stream(embedded, after=before)
    assert after.messages[0] is before.messages[0]
    assert after.messages[1] != before.messages[1]


async def test_a_long_session_is_read_to_its_end() -> None:
    async with embedded_streams() as streams:
        stream = DurableStream(streams, PATH)
        await ensure_durable_chat_session_stream(stream)
        text = "x" * 60_000
        start = {"type": "TEXT_MESSAGE_START", "messageId": "a", "role": "assistant"}
        chunk = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "a", "delta": text}
        for chunks in ([start], *[[chunk] for _ in range(30)]):  # a page has 512 KiB
            await append_sanitized_chunks_to_stream(stream, chunks)
        [message] = (await materialize_snapshot_from_durable_stream(stream)).messages
        assert message["parts"] == [{"type": "text", "content": text * 30}]


@pytest.mark.parametrize("data", [{}, {"version": REDUCER_VERSION + 1}, {"version": REDUCER_VERSION}])
def test_what_is_no_snapshot_of_this_version_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(StaleSnapshot):
        SessionSnapshot.from_json(data)
