"""An agent that needs somebody's word: it asks, is answered much later, and goes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.chats import check_runs, of
from tests.support.session_app import events_in
from tests.support.sources import Source
from webapp.session import (
    SessionSnapshot,
    materialize_snapshot_from_durable_stream,
    pipe_sanitized_chunks_to_stream,
    to_durable_chat_session_response,
)
from webapp.session.streams import AnyStream

QUESTION = {"id": "q", "role": "user", "content": "Send Eva a postcard."}
CALL = {"toolCallId": "c"}
ASKS = {"id": "ask", "reason": "tool_call", "message": "Send it?", **CALL}
ASKING = (
    "May I?",
    {"type": "TOOL_CALL_START", "toolCallName": "send_postcard", **CALL},
    {"type": "TOOL_CALL_ARGS", "delta": '{"to": "Eva"}', **CALL},
    {"type": "TOOL_CALL_END", **CALL},
    {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": [ASKS]}},
)
GOING_ON = ({"type": "TOOL_CALL_RESULT", "messageId": "c-1", "content": "sent", **CALL}, "It is on its way.")


def call_in(snapshot: SessionSnapshot) -> dict[str, Any]:
    [call] = [
        part for message in snapshot.messages for part in message["parts"] if part["type"] == "tool-call"
    ]
    return call


async def test_approvals_resume(stream: AnyStream) -> None:
    await to_durable_chat_session_response(
        stream, new_messages=[QUESTION], response_stream=Source(*ASKING), run_id="r1", mode="await"
    )
    asked = await materialize_snapshot_from_durable_stream(stream)
    assert asked.active_runs == []
    assert (call_in(asked)["state"], call_in(asked)["approval"]["id"]) == ("approval-requested", "ask")
    run = asked.to_json()["runs"]["r1"]
    assert (run["status"], run["interrupts"]) == ("awaiting-approval", [ASKS])

    # Two people allow it at once, and one of them twice: the run that goes on is one.
    sources = [Source(*GOING_ON) for _ in range(3)]
    answers = [
        pipe_sanitized_chunks_to_stream(source, stream, run_id="r1-on", parent_run_id="r1")
        for source in sources
    ]
    piped = await asyncio.gather(*answers)
    assert sum(source.begun for source in sources) == 1
    assert [run.outcome for run in piped if not run.duplicate] == ["success"]

    events = await events_in(stream)
    check_runs(events)
    assert of(events, "RUN_STARTED")[1]["parentRunId"] == "r1"
    # Whoever had the page open meanwhile sees the same as who comes now.
    stored = SessionSnapshot.from_json(json.loads(json.dumps(asked.to_json())))
    later = await materialize_snapshot_from_durable_stream(stream, after=stored)
    assert later.messages == (await materialize_snapshot_from_durable_stream(stream)).messages
    assert (call_in(later)["state"], call_in(later)["output"]) == ("complete", "sent")
    assert later.messages[-1]["parts"][0]["content"] == "It is on its way."
