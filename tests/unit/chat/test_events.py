"""Events are AG-UI's own, survive their bytes, and close what they open."""

from __future__ import annotations

from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from webapp.chat import events
from webapp.chat.echo import message_echo
from webapp.chat.messages import NewMessage
from webapp.chat.reducer import materialize

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
NOW = 1_700_000_000_000
IMAGE = {"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}
ECHO = message_echo(
    NewMessage("u1", "Hi", (IMAGE,)), name="Ana", participant_id="p", created_at_ms=NOW, parent_id="m0"
)


def attributed(event: events.Event) -> events.Event:
    return events.attribute(event, run_id="r1", agent_id="demo", agent_name="Demo", now_ms=NOW)


WRITTEN = [
    *ECHO,
    events.run_started(
        "c1",
        "r1",
        agent_id="demo",
        agent_name="Demo",
        trigger_id="u1",
        attempt=1,
        timestamp=NOW,
        parent_run_id="r0",
    ),
    attributed({"type": events.TEXT_MESSAGE_START, "messageId": "m1"}),
    attributed({"type": events.STEP_STARTED, "stepName": "plan"}),
    attributed({"type": events.REASONING_MESSAGE_CONTENT, "messageId": "th1", "delta": "Hm"}),
    attributed(
        {"type": events.TOOL_CALL_START, "toolCallId": "t1", "toolCallName": "roll", "parentMessageId": "m1"}
    ),
    events.stopped_by("r1", participant_id="p", name="Ana"),
    events.claimed("r1", epoch=2),
    events.run_finished("c1", "r1", timestamp=NOW),
    events.run_finished("c1", "r1", timestamp=NOW, outcome=events.cancelled()),
    events.run_finished(
        "c1",
        "r1",
        timestamp=NOW,
        outcome=events.interrupts([{"id": "i1", "reason": "tool_call", "toolCallId": "t1"}]),
    ),
    events.run_error("c1", "r1", code="agent-failed", sentence="The agent failed.", timestamp=NOW),
]


@pytest.mark.parametrize("event", WRITTEN, ids=lambda event: event["type"])
def test_what_we_write_is_ag_ui(event: events.Event) -> None:
    model = AG_UI.validate_python(event)
    assert model.model_dump(by_alias=True, mode="json") == event


@pytest.mark.parametrize("event", WRITTEN, ids=lambda event: event["type"])
def test_bytes_and_back(event: events.Event) -> None:
    assert events.decode(events.encode(event)) == event
    assert b"\n" not in events.encode(event)


@given(st.binary() | st.text().map(str.encode))
def test_anything_decodes_to_an_event_or_an_empty_one(data: bytes) -> None:
    assert isinstance(events.decode(data), dict)


@pytest.mark.parametrize(
    "data", [b"", b"[1]", b"null", b'"x"', b'{"a":', b"\xff", b"[" * 100_000, b'{"a":NaN}']
)
def test_what_is_no_event_decodes_to_nothing(data: bytes) -> None:
    assert events.decode(data) == {}


def test_what_is_too_deep_is_no_event() -> None:
    def nested(levels: int) -> bytes:
        return b'{"type":"CUSTOM","value":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"

    assert events.decode(nested(events.MAX_DEPTH))
    assert events.decode(nested(events.MAX_DEPTH + 1)) == {}
    wide = {"type": "CUSTOM", "value": [[1]] * 1000}
    assert events.decode(events.encode(wide)) == wide


def test_an_echo_is_the_same_every_time() -> None:
    again = message_echo(
        NewMessage("u1", "Hi", (IMAGE,), metadata={"participantId": "forged"}),
        name="Ana",
        participant_id="p",
        created_at_ms=NOW,
        parent_id="m0",
    )
    assert [events.encode(event) for event in again] == [events.encode(event) for event in ECHO]


def test_an_echo_tells_the_message() -> None:
    assert materialize(ECHO).messages == [
        {
            "id": "u1",
            "role": "user",
            "name": "Ana",
            "metadata": {"participantId": "p", "createdAt": NOW, "parentId": "m0"},
            "parts": [{"type": "text", "content": "Hi"}, IMAGE],
        }
    ]


def test_stored_events_do_not_repeat_the_text_nor_show_the_provider() -> None:
    event = {
        "type": events.TEXT_MESSAGE_CONTENT,
        "messageId": "m",
        "delta": "b",
        "content": "ab",
        "timestamp": 1.5,
    }
    assert events.sanitize(event) == {"type": event["type"], "messageId": "m", "delta": "b", "timestamp": 1}
    result = {
        "type": events.TOOL_CALL_RESULT,
        "toolCallId": "t",
        "content": "4",
        "rawEvent": {"key": "secret"},
    }
    assert events.sanitize(result) == {"type": result["type"], "toolCallId": "t", "content": "4"}
    assert result["rawEvent"]


def test_who_speaks_is_not_the_agents_word() -> None:
    claim = {
        "type": events.TEXT_MESSAGE_START,
        "messageId": "m1",
        "role": "user",
        "name": "Ana",
        "metadata": {"agentId": "other", "model": "x"},
    }
    assert attributed(claim) == claim | {
        "role": "assistant",
        "name": "Demo",
        "metadata": {"agentId": "demo", "runId": "r1", "createdAt": NOW, "model": "x"},
    }
    assert attributed(events.text_content("m1", "a")) == events.text_content("m1", "a")


PARTS = {
    "text": (
        {"type": events.TEXT_MESSAGE_START, "messageId": "m1"},
        {"type": events.TEXT_MESSAGE_END, "messageId": "m1"},
    ),
    "tool": (
        {"type": events.TOOL_CALL_START, "toolCallId": "t1"},
        {"type": events.TOOL_CALL_END, "toolCallId": "t1"},
    ),
    "reasoning": (
        {"type": events.REASONING_START, "messageId": "r1"},
        {"type": events.REASONING_END, "messageId": "r1"},
    ),
    "thought": (
        {"type": events.REASONING_MESSAGE_START, "messageId": "r1"},
        {"type": events.REASONING_MESSAGE_END, "messageId": "r1"},
    ),
    "step": ({"type": events.STEP_STARTED, "stepName": "s"}, {"type": events.STEP_FINISHED, "stepName": "s"}),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(PARTS)), st.booleans())))
def test_what_is_open_is_closed_last_opened_first(story: list[tuple[str, bool]]) -> None:
    told = [PARTS[kind][ended] for kind, ended in story]
    closing = events.OpenParts(told).closing()
    assert events.OpenParts([*told, *closing]).closing() == []
    still_open: list[str] = []
    for kind, ended in story:
        if ended and kind in still_open:
            still_open.remove(kind)
        elif not ended and kind not in still_open:
            still_open.append(kind)
    assert closing == [PARTS[kind][1] for kind in reversed(still_open)]


@pytest.mark.parametrize(
    "event", [{}, {"type": None}, {"type": []}, {"type": "TEXT_MESSAGE_START"}, {"type": "STEP_FINISHED"}]
)
def test_open_parts_ignores_what_it_cannot_read(event: dict[str, Any]) -> None:
    assert events.OpenParts([event]).closing() == []
