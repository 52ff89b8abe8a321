"""Single chunks and messages on their way into a stream."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from ag_ui.core import Event as AgUiEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.support.session_app import events_in
from webapp.chat.reducer import Reducer, materialize
from webapp.session import (
    DurableStream,
    StreamClosed,
    StreamConflict,
    StreamNotFound,
    append_sanitized_chunks_to_stream,
    ensure_durable_chat_session_stream,
    sanitize_chunk_for_storage,
    to_message_echo_chunks,
)
from webapp.session.streams import AnyStream

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
IMAGE = {"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}


def test_content_is_left_out_beside_a_delta_and_is_the_delta_without_one() -> None:
    chunk = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "content": "Hello"}
    bare = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m"}
    assert sanitize_chunk_for_storage({**chunk, "delta": "lo"}) == {**bare, "delta": "lo"}
    assert sanitize_chunk_for_storage(chunk) == {**bare, "delta": "Hello"}
    assert sanitize_chunk_for_storage({**bare, "rawEvent": 1}) == bare
    result = {"type": "TOOL_CALL_RESULT", "content": "4", "timestamp": 1}
    assert sanitize_chunk_for_storage({**result, "timestamp": 1.9}) == result


# Echoes


def echo(message: dict[str, Any]) -> list[dict[str, Any]]:
    return to_message_echo_chunks(message, clock=lambda: 1.5, new_id=lambda: "new")


def test_a_message_that_a_client_sends() -> None:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "content": "Hi"}, IMAGE]}
    assert echo(message) == [
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": "m",
            "role": "user",
            "timestamp": 1500,
            "metadata": {"createdAt": 1500},
        },
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Hi"},
        {"type": "CUSTOM", "name": "message.part", "value": {"messageId": "m", "part": IMAGE}},
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"id": "m", "content": "Hi"},
        {"id": "m", "role": "tool", "content": "Hi"},
        {"id": "m", "role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hi"}, "?", {"type": "what"}, {}]},
    ],
)
def test_other_shapes_of_the_same(message: dict[str, Any]) -> None:
    assert echo(message) == echo({"id": "m", "role": "user", "parts": [{"type": "text", "content": "Hi"}]})


@pytest.mark.parametrize(
    "message", [{}, {"id": ""}, {"id": 7, "parts": None}, {"role": ["user"], "parts": 1}]
)
def test_an_empty_message_is_one_too(message: dict[str, Any]) -> None:
    start, end = echo(message)
    assert (start["messageId"], start["role"]) == ("new", "user")
    assert end == {"type": "TEXT_MESSAGE_END", "messageId": "new"}


names = st.text(max_size=4)
ids = st.text(min_size=1, max_size=4)
values = st.recursive(st.none() | st.integers(-9, 9) | names, lambda x: st.lists(x, max_size=2), max_leaves=3)
text_parts = st.builds(lambda text: {"type": "text", "content": text}, st.text(min_size=1, max_size=4))
media_parts = st.builds(lambda url: {"type": "image", "source": {"type": "url", "value": url}}, names)


@st.composite
def tool_parts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A call as it is when its arguments are there, and perhaps its result."""
    call = draw(ids)
    given = {"x": draw(values)}
    arguments = msgspec.json.encode(given).decode()
    part = {"type": "tool-call", "id": call, "name": draw(names), "arguments": arguments, "input": given}
    if not draw(st.booleans()):
        return [{**part, "state": "input-complete"}]
    failed, content = draw(st.booleans()), "~" + draw(names)
    state = "error" if failed else "complete"
    result = {"type": "tool-result", "toolCallId": call, "content": content, "state": state}
    return [{**part, "state": state, "output": content}, {**result, "error": content} if failed else result]


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    thoughts = st.builds(
        lambda step, text: [{"type": "thinking", "stepId": step, "content": text}],
        ids,
        st.text(min_size=1, max_size=4),
    )
    alone = (text_parts | media_parts).map(lambda part: [part])
    parts = [part for group in draw(st.lists(alone | thoughts | tool_parts(), max_size=5)) for part in group]
    return {"id": draw(ids), "role": "assistant", "name": draw(ids), "parts": parts}


def is_told_apart(message: dict[str, Any]) -> bool:
    """Neighbouring texts are one text to every reader, and so is what has the same id."""
    parts = message["parts"]
    kinds = [part["type"] for part in parts]
    keys = [
        str(part.get("stepId") or part.get("id"))
        for part in parts
        if part["type"] in ("thinking", "tool-call")
    ]
    return ("text", "text") not in pairwise(kinds) and len(set(keys)) == len(keys)


@given(answers().filter(is_told_apart))
def test_folding_an_echo_gives_the_message_back(message: dict[str, Any]) -> None:
    chunks = echo(message)
    for chunk in chunks:
        AG_UI.validate_python(chunk)
    [back] = materialize(chunks).messages
    assert back.pop("metadata") == {"createdAt": 1500}
    assert back == message


@given(answers().filter(is_told_apart))
def test_an_echo_does_not_mix_with_a_run_that_is_under_way(message: dict[str, Any]) -> None:
    reducer = Reducer()
    running = {**message, "id": message["id"] + "-of-the-run"}
    for event in (
        {"type": "RUN_STARTED", "runId": "r", "threadId": "t"},
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": running["id"],
            "role": "assistant",
            "metadata": {"runId": "r"},
        },
        *echo(message),
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": running["id"], "delta": "mine"},
    ):
        reducer.apply(event)
    mine, echoed = reducer.snapshot().messages
    assert mine["parts"] == [{"type": "text", "content": "mine"}]
    assert echoed["parts"] == message["parts"]


def test_signatures_and_metadata_survive() -> None:
    message = {
        "id": "m",
        "role": "assistant",
        "metadata": {"model": "x", "createdAt": 7},
        "parts": [
            {"type": "thinking", "stepId": "s", "content": "Hm", "signature": "sealed"},
            {
                "type": "tool-call",
                "id": "t",
                "name": "roll",
                "arguments": "{}",
                "input": {},
                "state": "input-complete",
                "metadata": {"a": 1},
            },
        ],
    }
    assert materialize(echo(message)).messages == [message]


# Streams


async def test_ensure_makes_the_stream_once_and_gives_it_back(stream: AnyStream) -> None:
    for _ in range(2):
        assert await ensure_durable_chat_session_stream(stream) is stream
    assert await events_in(stream) == []


async def test_a_stream_of_another_type_is_no_session(embedded: DurableStream) -> None:
    await embedded.client.ensure(embedded.path, content_type="text/plain")
    with pytest.raises(StreamConflict):
        await ensure_durable_chat_session_stream(embedded)


async def test_chunks_are_appended_sanitised_in_order_and_once_per_producer(stream: AnyStream) -> None:
    await ensure_durable_chat_session_stream(stream)
    chunks = [
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "content": str(number)} for number in range(3)
    ]
    first = await append_sanitized_chunks_to_stream(stream, chunks, producer_id="p")
    assert await append_sanitized_chunks_to_stream(stream, chunks, producer_id="p") == first
    expected = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": str(n)} for n in range(3)]
    assert await events_in(stream) == expected
    assert await append_sanitized_chunks_to_stream(stream, chunks) > first
    assert await events_in(stream) == expected * 2


async def test_many_chunks_take_several_appends(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    chunks = [{"type": "CUSTOM", "name": "n", "value": number} for number in range(1700)]
    for _ in range(2):
        await append_sanitized_chunks_to_stream(embedded, chunks, producer_id="p")
    assert await events_in(embedded) == chunks


async def test_what_a_stream_refuses_is_raised(stream: AnyStream) -> None:
    with pytest.raises(StreamNotFound):
        await append_sanitized_chunks_to_stream(stream, [{"type": "CUSTOM"}])


async def test_a_closed_stream_takes_nothing(embedded: DurableStream) -> None:
    await ensure_durable_chat_session_stream(embedded)
    await embedded.client.append(embedded.path, [], close=True)
    with pytest.raises(StreamClosed):
        await append_sanitized_chunks_to_stream(embedded, [{"type": "CUSTOM"}])
