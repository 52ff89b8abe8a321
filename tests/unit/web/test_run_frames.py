"""The bytes on the wire: LF only, an id with every event, and read back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.support.sse import SseReader
from webapp.chat import events
from webapp.chat.errors import Conflict
from webapp.chat.following import RunCursor, RunEvent
from webapp.web.errors import describe
from webapp.web.run_frames import NDJSON, PING, SERVER_SENT_EVENTS, refused_text, socket_text

OFFSETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@st.composite
def run_events(draw: st.DrawFn) -> RunEvent:
    event = events.text_content("m", draw(st.text()))
    return RunEvent(str(RunCursor(draw(OFFSETS), draw(st.integers(0, 10**9)))), events.encode(event))


@given(st.lists(run_events()))
def test_server_sent_events(batch: list[RunEvent]) -> None:
    sent = b"".join(SERVER_SENT_EVENTS.ping + SERVER_SENT_EVENTS.encode(event) for event in batch)
    assert b"\r" not in sent
    found = [event for event in SseReader().feed(sent) if event.event != ":"]
    assert [event.json() for event in found] == [json.loads(event.body) for event in batch]
    ids = [line[4:].decode() for line in sent.split(b"\n") if line.startswith(b"id: ")]
    assert ids == [event.id for event in batch]


@given(st.lists(run_events()))
def test_ndjson(batch: list[RunEvent]) -> None:
    sent = b"".join(NDJSON.ping + NDJSON.encode(event) for event in batch)
    assert b"\r" not in sent
    assert sent.endswith(b"\n") or not batch
    found = [json.loads(line) for line in sent.split(b"\n") if line]
    assert found == [{"id": event.id, "chunk": json.loads(event.body)} for event in batch]


@given(run_events())
def test_a_socket_has_the_same_envelope(event: RunEvent) -> None:
    assert socket_text(event) + "\n" == NDJSON.encode(event).decode()


@pytest.mark.parametrize("run_id", ["r1", None, 5])
def test_a_refusal_is_a_runs_error(run_id: Any) -> None:
    problem = describe(Conflict("No.", code="run-id-used"))
    error = json.loads(refused_text(problem, run_id))
    TypeAdapter[Any](AgUiEvent).validate_python(error)
    assert (error["code"], error["message"]) == ("run-id-used", "No.")
    assert error.get("runId") == (run_id if run_id == "r1" else None)


def test_a_ping_is_what_published_clients_skip() -> None:
    assert json.loads(PING) == {"type": "ping"}
