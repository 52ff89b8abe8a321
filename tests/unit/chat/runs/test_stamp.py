"""What becomes of an agent's events."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.runs.stamp import Stamper
from webapp.chat.storing import NotAnEvent

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def stamper() -> Stamper:
    return Stamper(run_id="r", agent_id="a", agent_name="Kermit", trigger_id="m", clock=lambda: 1.5)


def test_a_message_is_the_agents_whatever_it_says() -> None:
    [start] = stamper().stamp(
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": "1",
            "role": "user",
            "name": "Ana",
            "metadata": {"agentId": "x", "runId": "y", "parentId": "z", "model": "m-1"},
        }
    )
    assert start == {
        "type": "TEXT_MESSAGE_START",
        "messageId": "r~1",
        "role": "assistant",
        "name": "Kermit",
        "metadata": {"agentId": "a", "runId": "r", "parentId": "m", "createdAt": 1500, "model": "m-1"},
    }


def test_ids_of_messages_are_the_runs_own_and_stay_together() -> None:
    stamp = stamper().stamp
    events: list[dict[str, Any]] = [
        {"type": "TEXT_MESSAGE_START", "messageId": "1"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "1", "delta": "x"},
        {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "n", "parentMessageId": "1"},
        {"type": "TOOL_CALL_RESULT", "toolCallId": "t", "messageId": "2", "content": ""},
    ]
    stamped = [stamp(event)[0] for event in events]
    assert [event.get("messageId") for event in stamped] == ["r~1", "r~1", None, "r~2"]
    assert stamped[2]["parentMessageId"] == "r~1"
    assert stamped[2]["toolCallId"] == "t"
    assert stamped[2]["runId"] == "r"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "RUN_STARTED", "runId": "other"},
        {"type": "MESSAGES_SNAPSHOT", "messages": []},
        {"type": "CUSTOM", "name": "run.stopped-by", "value": {"runId": "other"}},
        {"type": "CUSTOM", "name": "chat.renamed", "value": {}},
        {"type": "CUSTOM", "name": "message.part", "value": {}},
    ],
)
def test_what_an_agent_may_not_say_is_dropped(event: dict[str, Any]) -> None:
    assert stamper().stamp(event) == []


@pytest.mark.parametrize(
    "junk",
    [
        None,
        42,
        b"bytes",
        [],
        {},
        {"type": 1},
        {"type": "CUSTOM", "name": "x", "value": object()},
        {"type": "CUSTOM", "name": "x", "value": "\ud800"},
        {"type": "CUSTOM", "name": "x", "value": "y" * 2_000_000},
    ],
)
def test_junk_is_refused(junk: object) -> None:
    with pytest.raises(NotAnEvent):
        stamper().stamp(junk)


def test_a_long_delta_is_cut_and_nothing_is_lost() -> None:
    one = stamper()
    text = "0123456789" * 20_000
    pieces = one.stamp({"type": "TEXT_MESSAGE_CONTENT", "messageId": "1", "delta": text})
    assert len(pieces) > 1
    assert "".join(piece["delta"] for piece in pieces) == text
    assert one.written > len(text)


def test_the_agents_own_event_is_not_changed() -> None:
    event = {"type": "TEXT_MESSAGE_START", "messageId": "1", "metadata": {"k": "v"}}
    before = {**event, "metadata": {"k": "v"}}
    stamper().stamp(event)
    assert event == before


@given(st.dictionaries(st.text(), json) | json)
def test_any_json_is_stamped_or_refused(value: Any) -> None:
    with suppress(NotAnEvent):
        stamper().stamp(value)


@given(json, json, json)
def test_any_fields_are_stamped_or_refused(message_id: Any, metadata: Any, delta: Any) -> None:
    for kind in ("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "CUSTOM", "TOOL_CALL_START"):
        event = {"type": kind, "messageId": message_id, "metadata": metadata, "delta": delta, "name": delta}
        with suppress(NotAnEvent):
            stamper().stamp(event)
